package authority

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net/url"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/mtls"
)

// issueNode signs the certificate of a node's agent.
func (a *Authority) issueNode(node string, join uint64, key crypto.PublicKey) (api.Issued, error) {
	issued, err := a.issue(&x509.Certificate{
		Subject:     pkix.Name{CommonName: node, Organization: []string{mtls.NodeOrganisation}},
		URIs:        []*url.URL{mtls.NodeURI(node, join)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, a.opts.NodeLife, key)
	issued.Node = node
	return issued, err
}

// issue signs what the template says, from an hour ago until life from now.
func (a *Authority) issue(template *x509.Certificate, life time.Duration, key crypto.PublicKey) (api.Issued, error) {
	now := a.opts.Now()
	template.SerialNumber = serial()
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.NotBefore, template.NotAfter = now.Add(-mtls.Backdate), now.Add(life).Truncate(time.Second)
	if template.NotAfter.After(a.ca.cert.NotAfter) {
		template.NotAfter = a.ca.cert.NotAfter
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.ca.cert, key, a.ca.key)
	if err != nil {
		return api.Issued{}, fmt.Errorf("sign certificate of %s: %w", template.Subject.CommonName, err)
	}
	return api.Issued{Certificate: encodeCert(der), CA: a.CA(), Expires: template.NotAfter}, nil
}
