/** After all suites. */
import { teardown } from './setup.ts';

export default (): Promise<void> => teardown.stop();
