package authority

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// maxCSR bounds a certificate signing request, in bytes.
const maxCSR = 16 << 10

// The sizes of RSA keys that are taken, in bits. Large ones cost the checker.
const (
	minRSA = 2048
	maxRSA = 4096
)

// keyOf is the public key of a certificate signing request whose sender has the
// private one. All else in it is ignored.
func keyOf(text string) (crypto.PublicKey, error) {
	if len(text) > maxCSR {
		return nil, invalid("csr", fmt.Errorf("%d bytes, at most %d", len(text), maxCSR))
	}
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE REQUEST" || strings.TrimSpace(string(rest)) != "" {
		return nil, invalid("csr", errors.New("want one certificate signing request, PEM text that begins with -----BEGIN CERTIFICATE REQUEST-----"))
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, invalid("csr", fmt.Errorf("is no certificate signing request: %w", err))
	}
	if err := checkKey(csr.PublicKey); err != nil {
		return nil, invalid("csr", err)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, invalid("csr", fmt.Errorf("is not signed with its own key: %w", err))
	}
	return csr.PublicKey, nil
}

func checkKey(key crypto.PublicKey) error {
	switch key := key.(type) {
	case ed25519.PublicKey:
		return nil
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P256() {
			return nil
		}
	case *rsa.PublicKey:
		bits := key.N.BitLen()
		if bits >= minRSA && bits <= maxRSA {
			return nil
		}
		return fmt.Errorf("an RSA key of %d bits; want %d to %d, or better ECDSA P-256", bits, minRSA, maxRSA)
	}
	return errors.New("a key of a kind that is not taken; want ECDSA P-256, Ed25519 or RSA")
}

// thumb is the SHA-256 of a public key, in hex.
func thumb(key crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", fmt.Errorf("encode public key: %w", err)
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:]), nil
}
