/** Advanced error reporting: what a function has reported, and how much of it is logged (drivers/pci/pcie/aer.c). */
import { refuse } from '../../abi/errno.js';
import { PCI_EXT_CAP_ID_ERR } from '../../abi/pci/index.js';
import type { PciFunction } from '../../host/pci-function.js';
import type { Caller } from '../../vfs/caller.js';
import { type Entry, subdirectory, text } from '../kit/directory.js';
import { parseInteger } from '../kit/parse.js';

const correctable = 'RxErr BadTLP BadDLLP Rollover Timeout NonFatalErr CorrIntErr HeaderOF'.split(' ');
const uncorrectable = [
  'Undefined DLP SDES TLP FCP CmpltTO CmpltAbrt UnxCmplt RxOF MalfTLP ECRC UnsupReq ACSViol UncorrIntErr BlockedTLP',
  'AtomicOpBlocked TLPBlockedErr PoisonTLPBlocked DMWrReqBlocked IDECheck MisIDETLP PCRC_CHECK TLPXlatBlocked',
].flatMap((line) => line.split(' '));

const hasAer = (fn: PciFunction) => fn.config.extended.some(({ id }) => id === PCI_EXT_CAP_ID_ERR);
const isRootPort = (fn: PciFunction) => fn.bridge?.kind === 'root-port';

/** One line per kind of error and their sum; no link of this machine ever sees an error. */
const counters = (name: string, kinds: readonly string[], total: string): Entry<PciFunction> =>
  text(name, { when: hasAer, show: () => [...kinds, `TOTAL_${total}`].map((kind) => `${kind} 0`) });

const rootTotal = (severity: string): Entry<PciFunction> =>
  text(`aer_rootport_total_err_${severity}`, { when: (fn) => hasAer(fn) && isRootPort(fn), show: () => 0 });

/** Timer ticks in a second: the interval is shown in them, but written in milliseconds (aer_ratelimit_interval_attr()). */
const hz = 250;
const initially = { burst: 10, interval: 5 * hz };
type Limit = typeof initially;

function admin(caller: Caller): void {
  if (!caller.capable('SYS_ADMIN')) refuse('EPERM', 'CAP_SYS_ADMIN is needed');
}

/** `<severity>_ratelimit_{interval_ms,burst}` in aer/. */
function rateLimit(severity: string): Entry<PciFunction>[] {
  const limits = new WeakMap<PciFunction, Limit>();
  const limit = (fn: PciFunction) => limits.get(fn) ?? initially;
  const change = (fn: PciFunction, part: Partial<Limit>) => void limits.set(fn, { ...limit(fn), ...part });
  return [
    text(`${severity}_ratelimit_interval_ms`, {
      when: hasAer,
      show: (fn) => limit(fn).interval,
      store(fn, content, caller) {
        admin(caller);
        change(fn, { interval: Math.ceil((Math.max(0, parseInteger(content)) * hz) / 1000) });
      },
    }),
    text(`${severity}_ratelimit_burst`, {
      when: hasAer,
      show: (fn) => limit(fn).burst,
      store(fn, content, caller) {
        admin(caller);
        change(fn, { burst: parseInteger(content) });
      },
    }),
  ];
}

export function errorReporting(): Entry<PciFunction>[] {
  return [
    counters('aer_dev_correctable', correctable, 'ERR_COR'),
    counters('aer_dev_fatal', uncorrectable, 'ERR_FATAL'),
    counters('aer_dev_nonfatal', uncorrectable, 'ERR_NONFATAL'),
    ...['cor', 'fatal', 'nonfatal'].map(rootTotal),
    // The directory of a named group is there for every function, empty or not.
    subdirectory('aer', [...rateLimit('correctable'), ...rateLimit('nonfatal')]),
  ];
}
