/** The image's configuration, as the last stage of the Dockerfile says it: there is no second place for it. */

/** Of the OCI image configuration: what a runtime starts the program by. */
export interface ImageConfig {
  User: string;
  ExposedPorts: Record<string, object>;
  Env: string[];
  Entrypoint: string[];
  WorkingDir: string;
  Labels: Record<string, string>;
}

/** Builds set this for every image that does not. */
const PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

const unquoted = (text: string): string => /^"(.*)"$/.exec(text)?.[1] ?? text;

/**
 * Reads the instructions after the last FROM. It knows the few forms that are used there, and refuses any other rather than leave it out.
 * @param values of build arguments, such as VERSION.
 */
export function imageConfig(dockerfile: string, values: Record<string, string>): ImageConfig {
  const config: ImageConfig = { User: '', ExposedPorts: {}, Env: [PATH], Entrypoint: [], WorkingDir: '/', Labels: {} };
  const lines = dockerfile.split('\n').map((line) => line.trim());
  const stage = lines.slice(lines.findLastIndex((line) => line.startsWith('FROM ')) + 1);
  for (const line of stage.filter((text) => text !== '' && !text.startsWith('#'))) {
    const [, instruction = '', rest = ''] = /^(\S+)\s+(.*)$/.exec(line) ?? [];
    const text = rest.replaceAll(/\$\{?(\w+)\}?/g, (_, name: string) => {
      const value = values[name];
      if (value === undefined) throw new Error(`Dockerfile: ${name} has no value in: ${line}`);
      return value;
    });
    const [, key = '', value = ''] = /^([\w.]+)=(.*)$/.exec(text) ?? [];
    if (instruction === 'LABEL' && key !== '') config.Labels[key] = unquoted(value);
    else if (instruction === 'ENV' && key !== '') config.Env.push(`${key}=${unquoted(value)}`);
    else if (instruction === 'USER') config.User = unquoted(text);
    else if (instruction === 'WORKDIR') config.WorkingDir = unquoted(text);
    else if (instruction === 'EXPOSE') for (const port of text.split(/\s+/)) config.ExposedPorts[`${port}/tcp`] = {};
    else if (instruction === 'ENTRYPOINT') config.Entrypoint = JSON.parse(text) as string[];
    else if (instruction !== 'COPY' && instruction !== 'ARG') throw new Error(`Dockerfile: this is not understood: ${line}`);
  }
  return config;
}
