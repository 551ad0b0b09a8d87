package mtls

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"time"
)

// Fingerprint is the SHA-256 of a certificate, in hex.
func Fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return hex.EncodeToString(sum[:])
}

// NewPinned makes a Client for one who has no certificate yet: it shows none,
// and takes a controller if what signs its certificate has the fingerprint.
func NewPinned(fingerprint string) (*Client, error) {
	if b, err := hex.DecodeString(fingerprint); err != nil || len(b) != sha256.Size {
		return nil, fmt.Errorf("fingerprint %.80q: want %d hex digits, the SHA-256 of the controller's CA", fingerprint, 2*sha256.Size)
	}
	return &Client{pin: fingerprint}, nil
}

// A PinError says that what answers is not the controller that was meant.
type PinError struct {
	Host string
	Want string // the fingerprint of the CA that was meant
	Have string // that of what signs the certificate there, or of the certificate
}

// Error says what to do.
func (e *PinError) Error() string {
	return fmt.Sprintf("what answers at %s is not the controller that made the token: its CA has the fingerprint %s, and the token wants %s; check the address, and that nobody stands in between; the token was not sent",
		e.Host, e.Have, e.Want)
}

// pinned is the TLS config of NewPinned's client.
func pinned(fingerprint, host string) *tls.Config {
	return &tls.Config{
		ServerName:         host,
		InsecureSkipVerify: true, // VerifyConnection does it, with the root that the fingerprint names
		VerifyConnection: func(state tls.ConnectionState) error {
			certs := state.PeerCertificates
			for _, cert := range certs {
				if subtle.ConstantTimeCompare([]byte(Fingerprint(cert)), []byte(fingerprint)) != 1 {
					continue
				}
				roots := x509.NewCertPool()
				roots.AddCert(cert)
				_, err := certs[0].Verify(x509.VerifyOptions{Roots: roots, DNSName: host, CurrentTime: time.Now()})
				return err
			}
			return &PinError{Host: host, Want: fingerprint, Have: Fingerprint(certs[len(certs)-1])}
		},
	}
}
