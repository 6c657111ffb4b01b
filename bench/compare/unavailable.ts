/** A peer that cannot run here, with the reason for the table. */
export class Unavailable extends Error {}
