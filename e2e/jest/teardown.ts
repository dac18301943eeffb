/** After all suites. */
import { teardown } from './setup.ts';

export default async (): Promise<void> => {
  try {
    teardown.judge();
  } finally {
    await teardown.stop();
  }
};
