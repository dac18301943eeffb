import { z } from 'zod';
import { quote } from '../../../ssh/quote.ts';
import type { Step } from '../../plan.ts';
import { defineModule, scriptStep } from '../module.ts';
import { flag, listOf, text } from '../values.ts';

const certificate = text.refine(
  (value) => value.includes('-----BEGIN CERTIFICATE-----') || value.includes('-----BEGIN TRUSTED CERTIFICATE-----'),
  'is not a certificate in PEM form',
);

const settings = z
  .strictObject({
    remove_defaults: flag.optional(),
    'remove-defaults': flag.optional(),
    trusted: z
      .union([certificate.transform((one) => [one]), listOf(certificate)], { error: 'expected a list of certificates in PEM form' })
      .optional(),
  })
  .nullable();

/** Certificate authorities that the host's programs trust. */
export const caCerts = defineModule({
  keys: { ca_certs: settings, 'ca-certs': settings },
  plan(values, { note }) {
    if (values.ca_certs !== undefined && values['ca-certs'] !== undefined) {
      note('KeyWithoutEffect', ['ca-certs'], 'not carried out: the document also has ca_certs, which is the newer spelling');
    }
    const value = values.ca_certs ?? values['ca-certs'];
    if (value === undefined || value === null) return [];
    const without = value['remove-defaults'] ?? value.remove_defaults ?? false;
    const steps: Step[] = [scriptStep('ca_certs', trustScript(without, value.trusted ?? []))];
    return steps;
  },
});

/** By the tools of Debian, Alpine and SUSE (update-ca-certificates) or of Red Hat's family (update-ca-trust). */
function trustScript(withoutDefaults: boolean, certificates: string[]): string {
  const debian = [...(withoutDefaults ? [REMOVE_DEBIAN] : []), ...(certificates.length > 0 ? [ADD_DEBIAN] : [])];
  const redHat = [...(withoutDefaults ? [REMOVE_RED_HAT] : []), ...(certificates.length > 0 ? ['certificates >"$anchors/$name"'] : [])];
  return `set -eu
${certificates.length > 0 ? bundle(certificates) : ''}has() {
  command -v "$1" >/dev/null 2>&1
}
name=cluster-api-ca-certs.crt
if has update-ca-certificates && [ -d /usr/share/pki/trust/anchors ]; then
${indent(suse(withoutDefaults, certificates))}
  update-ca-certificates
elif has update-ca-certificates; then
${indent(debian.join('\n') || ':')}
  update-ca-certificates
elif has update-ca-trust; then
  anchors=/usr/share/pki/ca-trust-source/anchors
${indent(redHat.join('\n') || ':')}
  update-ca-trust
else
  echo "this host has neither update-ca-certificates nor update-ca-trust; install ca-certificates" >&2
  exit 127
fi
`;
}

const bundle = (certificates: string[]) => `certificates() {
  printf %s ${quote(certificates.join('\n'))}
}
`;

const suse = (withoutDefaults: boolean, certificates: string[]) =>
  [
    ...(withoutDefaults ? ['rm -rf /usr/share/pki/trust/*.p11-kit /usr/share/pki/trust/anchors/*'] : []),
    certificates.length > 0 ? 'certificates >"/usr/share/pki/trust/anchors/$name"' : ':',
  ].join('\n');

/** The name as the first line of an empty list, else after the others, which a blank line would end. */
const ADD_DEBIAN = `mkdir -p /usr/share/ca-certificates
certificates >"/usr/share/ca-certificates/$name"
chmod 0644 "/usr/share/ca-certificates/$name"
others=$(grep -vxF "$name" /etc/ca-certificates.conf 2>/dev/null || :)
if [ -n "$others" ]; then
  printf '%s\\n' "$others" "$name" >/etc/ca-certificates.conf
else
  printf '%s\\n' "$name" >/etc/ca-certificates.conf
fi`;

const REMOVE_DEBIAN = `rm -rf /usr/share/ca-certificates/* /etc/ssl/certs/*
: >/etc/ca-certificates.conf
if has debconf-set-selections; then
  echo 'ca-certificates ca-certificates/trust_new_crts select no' | debconf-set-selections -
fi`;

const REMOVE_RED_HAT = `rm -rf /usr/share/pki/ca-trust-source/* /etc/pki/ca-trust/*
mkdir -p "$anchors" /etc/pki/ca-trust/extracted/pem /etc/pki/ca-trust/extracted/openssl /etc/pki/ca-trust/extracted/java`;

const indent = (lines: string) => lines.replaceAll(/^(?=.)/gm, '  ');
