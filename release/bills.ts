/** Bills of materials of the image, as its build leaves them: one for each architecture. */
import { cp, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { project, tag } from './version.ts';

const [START, END] = [`${project.name}-${tag}-`, '.sbom.cdx.json'];
export const billOf = (architecture: string): string => START + architecture + END;

/** Copies those of this version. */
export async function copyBills(from: string, to: string): Promise<void> {
  const bills = (await readdir(from)).filter((name) => name.startsWith(START) && name.endsWith(END));
  if (bills.length === 0) throw new Error(`${from} has no ${billOf('<architecture>')}: make image-offline writes them`);
  for (const bill of bills) await cp(join(from, bill), join(to, bill));
}
