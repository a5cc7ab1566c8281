#!/bin/sh
# Makes the certificates and keys of this folder anew, with OpenSSL; the private keys are thrown away.
set -eu
cd "$(dirname "$0")"
keys=$(mktemp -d)
trap 'rm -r "$keys"' EXIT
extensions() { printf 'basicConstraints=critical,%s\nkeyUsage=critical,%s\nsubjectKeyIdentifier=hash\n%s' "$@" > "$keys/ext"; }
key() { openssl ecparam -name "$2" -genkey -noout -out "$keys/$1.key"; }
self_signed() {
  openssl req -new -key "$keys/$1.key" -subj "$2" -out "$keys/csr"
  openssl x509 -req -in "$keys/csr" -signkey "$keys/$1.key" -days 3650 -sha384 -extfile "$keys/ext" -out "$1.pem"
}
issued() {
  openssl req -new -key "$keys/$1.key" -subj "$3" -out "$keys/csr"
  openssl x509 -req -in "$keys/csr" -CA "$2.pem" -CAkey "$keys/$2.key" -days 3650 -sha384 -extfile "$keys/ext" -out "$1.pem"
}
for name in fulcio-root fulcio-root-twin fulcio-intermediate tsa-root tsa-intermediate; do key $name secp384r1; done
for name in tsa leaf rekor ctlog; do key $name prime256v1; done
extensions CA:TRUE,pathlen:1 keyCertSign,cRLSign ''
self_signed fulcio-root '/O=example/CN=example root'
self_signed fulcio-root-twin '/O=example/CN=example root'
extensions CA:TRUE,pathlen:0 keyCertSign,cRLSign 'extendedKeyUsage=codeSigning'
issued fulcio-intermediate fulcio-root '/O=example/CN=example intermediate'
extensions CA:TRUE,pathlen:0 keyCertSign,cRLSign ''
self_signed tsa-root '/O=example/CN=example tsa root'
extensions CA:FALSE digitalSignature 'extendedKeyUsage=critical,timeStamping'
issued tsa tsa-root '/O=example/CN=example tsa'
extensions CA:FALSE digitalSignature 'extendedKeyUsage=codeSigning'
issued leaf fulcio-intermediate '/CN=leaf'
extensions CA:TRUE,pathlen:0 keyCertSign,cRLSign 'extendedKeyUsage=critical,timeStamping'
issued tsa-intermediate tsa-root '/O=example/CN=example tsa intermediate'
for name in rekor ctlog; do openssl pkey -in "$keys/$name.key" -pubout -out $name.pub; done
openssl genpkey -algorithm ed25519 -out "$keys/rekor-ed25519.key"
openssl pkey -in "$keys/rekor-ed25519.key" -pubout -out rekor-ed25519.pub
