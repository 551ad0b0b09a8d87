package mtls

import (
	"crypto/x509"
	"encoding/pem"
)

// Certificates are those in a PEM text, in its order, as far as they can be read.
func Certificates(text []byte) []*x509.Certificate {
	var found []*x509.Certificate
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return found
		}
		if cert, err := x509.ParseCertificate(block.Bytes); block.Type == "CERTIFICATE" && err == nil {
			found = append(found, cert)
		}
	}
}
