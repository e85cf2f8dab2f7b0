/**
 * Which steps the kernel takes from a state (row) to another (column), by migration flags: worked out by hand from vfio_from_fsm_table of
 * Linux 7.2. S STOP, R RUNNING, SC STOP_COPY, RS RESUMING, RP RUNNING_P2P, PC PRE_COPY, PP PRE_COPY_P2P; empty where nothing is to be done.
 */
export const tables: Record<number, Record<string, Record<string, string>>> = {
  1: {
    S: { S: '', R: 'R', SC: 'SC', RS: 'RS' },
    R: { S: 'S', R: '', SC: 'S SC', RS: 'S RS' },
    SC: { S: 'S', R: 'S R', SC: '', RS: 'S RS' },
    RS: { S: 'S', R: 'S R', SC: 'S SC', RS: '' },
  },
  3: {
    S: { S: '', R: 'RP R', SC: 'SC', RS: 'RS', RP: 'RP' },
    R: { S: 'RP S', R: '', SC: 'RP S SC', RS: 'RP S RS', RP: 'RP' },
    SC: { S: 'S', R: 'S RP R', SC: '', RS: 'S RS', RP: 'S RP' },
    RS: { S: 'S', R: 'S RP R', SC: 'S SC', RS: '', RP: 'S RP' },
    RP: { S: 'S', R: 'R', SC: 'S SC', RS: 'S RS', RP: '' },
  },
  5: {
    S: { S: '', R: 'R', SC: 'SC', RS: 'RS', PC: 'R PC' },
    R: { S: 'S', R: '', SC: 'S SC', RS: 'S RS', PC: 'PC' },
    SC: { S: 'S', R: 'S R', SC: '', RS: 'S RS', PC: 'EINVAL' },
    RS: { S: 'S', R: 'S R', SC: 'S SC', RS: '', PC: 'S R PC' },
    PC: { S: 'R S', R: 'R', SC: 'SC', RS: 'R S RS', PC: '' },
  },
  7: {
    S: { S: '', R: 'RP R', SC: 'SC', RS: 'RS', RP: 'RP', PC: 'RP R PC', PP: 'RP PP' },
    R: { S: 'RP S', R: '', SC: 'RP S SC', RS: 'RP S RS', RP: 'RP', PC: 'PC', PP: 'RP PP' },
    SC: { S: 'S', R: 'S RP R', SC: '', RS: 'S RS', RP: 'S RP', PC: 'EINVAL', PP: 'EINVAL' },
    RS: { S: 'S', R: 'S RP R', SC: 'S SC', RS: '', RP: 'S RP', PC: 'S RP R PC', PP: 'S RP PP' },
    RP: { S: 'S', R: 'R', SC: 'S SC', RS: 'S RS', RP: '', PC: 'R PC', PP: 'PP' },
    PC: { S: 'R RP S', R: 'R', SC: 'PP SC', RS: 'R RP S RS', RP: 'R RP', PC: '', PP: 'PP' },
    PP: { S: 'RP S', R: 'RP R', SC: 'SC', RS: 'RP S RS', RP: 'RP', PC: 'PC', PP: '' },
  },
};
