export {
  deviceLog,
  type Namespace,
  namespaces,
  type Printers,
  traceObserver,
  traceObservers,
} from './observer.js';
