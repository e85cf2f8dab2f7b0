/** What is open now: for leak tests and for whoever shows the machine's state. */
export class Tally {
  /** Containers that are open or hold a group. */
  containers = 0;
  groups = 0;
  /** Device files, bound or not. */
  deviceFiles = 0;
}
