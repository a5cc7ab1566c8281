import static java.nio.charset.StandardCharsets.UTF_8;

import dev.sigstore.AlgorithmRegistry;
import dev.sigstore.KeylessSigner;
import dev.sigstore.KeylessVerifier;
import dev.sigstore.SigningConfigProvider;
import dev.sigstore.TrustedRootProvider;
import dev.sigstore.VerificationOptions;
import dev.sigstore.bundle.Bundle;
import dev.sigstore.oidc.client.OidcClients;
import dev.sigstore.oidc.client.TokenStringOidcClient;
import dev.sigstore.strings.StringMatcher;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;

/** The library as a program; it is released with a command line of its own only in its sources. */
public class Sign {
  public static void main(String[] words) throws Exception {
    Path artifact = Path.of(words[1]);
    Path bundle = Path.of(words[2]);
    TrustedRootProvider root = TrustedRootProvider.from(Path.of(words[3]));
    switch (words[0]) {
      case "sign" -> {
        KeylessSigner signer = KeylessSigner.builder()
            .enableRekorV2(true)
            .trustedRootProvider(root)
            .signingConfigProvider(SigningConfigProvider.from(Path.of(words[4])))
            // Both have no defaults outside the public instance.
            .minSigningCertificateLifetime(Duration.ofMinutes(5))
            .signingAlgorithm(AlgorithmRegistry.SigningAlgorithm.PKIX_ECDSA_P256_SHA_256)
            .forceCredentialProviders(OidcClients.of(TokenStringOidcClient.from(Files.readString(Path.of(words[5])))))
            .build();
        Files.writeString(bundle, signer.signFile(artifact).toJson());
      }
      case "verify" -> {
        VerificationOptions.CertificateMatcher signer = VerificationOptions.CertificateMatcher.fulcio()
            .subjectAlternativeName(StringMatcher.string(words[4]))
            .issuer(StringMatcher.string(words[5]))
            .build();
        VerificationOptions options = VerificationOptions.builder().addCertificateMatchers(signer).build();
        KeylessVerifier.builder().trustedRootProvider(root).build().verify(artifact, Bundle.from(bundle, UTF_8), options);
      }
      default -> throw new IllegalArgumentException("sign or verify, not " + words[0]);
    }
  }
}
