export {
  type Namespace,
  namespaces,
  type Printers,
  type TraceOptions,
  traceObserver,
  traceOptions,
} from './observer.js';
