/** The model behind a function: created when somebody first needs it, ended with the function or with its shape. */
import { deviceContext } from './device-context.js';
import type { HostFunction, HostHooks } from './function.js';
import { FunctionInterrupts } from './interrupts.js';
import type { AttachedModel } from './pci-function.js';

export class FunctionModel {
  attached: AttachedModel | undefined;
  /** There as long as the model is. */
  interrupts: FunctionInterrupts | undefined;
  private state!: 'none' | 'waiting' | 'starting' | 'attached';

  constructor(
    private readonly fn: HostFunction,
    private readonly hooks: HostHooks,
  ) {
    this.renew();
  }

  /** Whatever model the function's plan names now is waited for; without a BAR of its own it would be none. */
  renew(): void {
    const { definition, bars } = this.fn.plan;
    this.state = definition && !bars.some((bar) => bar?.lost) ? 'waiting' : 'none';
  }

  attach(model: AttachedModel | undefined): void {
    this.attached = model;
    this.state = model ? 'attached' : 'none';
  }

  /** Creates the model unless it stands or there is none. Its constructor may ask for memory: not a reason to create it again. */
  start(): void {
    if (this.state !== 'waiting') return;
    this.state = 'starting';
    const { fn } = this;
    const definition = fn.plan.definition!;
    try {
      const interrupts = new FunctionInterrupts(fn, (bar) => fn.memory.of(bar));
      const model = definition.create(deviceContext(fn, interrupts), { ...fn.plan.description.options });
      this.interrupts = interrupts;
      this.attach({ name: definition.name, model, watched: model.watched ?? [] });
    } catch (cause) {
      this.state = 'waiting';
      throw new Error(`${fn.bdf}: model ${definition.name} can't start: ${(cause as Error).message}`, {
        cause,
      });
    }
    this.hooks.modelAttached?.(fn, this.attached!);
  }

  reset(): void {
    this.attached?.model.reset();
    this.interrupts?.reset();
  }

  end(): void {
    this.interrupts?.reset();
    this.attached?.model.destroy?.();
    this.attach(undefined);
    this.interrupts = undefined;
  }
}
