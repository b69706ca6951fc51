import tls from "node:tls";
import { EnvHttpProxyAgent, type Dispatcher } from "undici";
import { EngineError } from "../../shared/errors";

/**
 * Connections through the proxy of the setting, else through the one of the environment (HTTPS_PROXY, HTTP_PROXY);
 * hosts in `noProxy` (separated by commas, `*` for all) and in NO_PROXY are reached directly in both cases. The caller
 * destroys it.
 */
export function createDispatcher(proxy: string, noProxy: string): Dispatcher {
  if (proxy && !/^https?:\/\/[^/]/.test(proxy)) {
    throw new EngineError(
      "DOWNLOAD_FAILED",
      `Expected the proxy setting (http.proxy) to be like http://proxy.example:8080, got ${JSON.stringify(proxy)}.`,
    );
  }
  const trust = { ca: trustedCertificates() };
  return new EnvHttpProxyAgent({
    ...(proxy && { httpProxy: proxy, httpsProxy: proxy }),
    noProxy: withEnvironment(noProxy),
    connect: trust,
    requestTls: trust,
    proxyTls: trust,
  });
}

/** The library takes the environment's list only when it is given none. */
function withEnvironment(noProxy: string): string {
  const lists = [noProxy, process.env["no_proxy"] ?? process.env["NO_PROXY"] ?? ""];
  return lists.includes("*") ? "*" : lists.join(",");
}

/** Reads a certificate store, each certificate as PEM. */
type CertificateReader = (store: "default" | "system") => string[];

/** Node's own reader, there since 22.15. */
const nodesReader = (tls as { getCACertificates?: CertificateReader }).getCACertificates;

/**
 * Node's own certificate authorities and those the operating system trusts: in many companies a proxy opens encrypted
 * connections with a certificate that only the system knows. Undefined, which means Node's own, where they cannot be read.
 */
export function trustedCertificates(read: CertificateReader | undefined = nodesReader): string[] | undefined {
  try {
    const certificates = read ? [...new Set([...read("default"), ...read("system")])] : [];
    // An empty list would trust nobody.
    return certificates.length > 0 ? certificates : undefined;
  } catch {
    return undefined;
  }
}
