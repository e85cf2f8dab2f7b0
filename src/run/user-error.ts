/** A failure that is told to the user in a sentence, with what to do next; never a stack trace. */
export class UserError extends Error {
  override readonly name = 'UserError';
  constructor(
    message: string,
    readonly nextStep?: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** The user asked for something that can't be: another exit code than a failure. */
export class UsageError extends UserError {}
