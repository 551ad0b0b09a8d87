package mtls

import (
	"crypto/x509"
	"slices"
	"time"
)

// AdminOrganisation is the organisation in certificates that may do everything.
const AdminOrganisation = "nicferry-admin"

// A Peer is who is at the other end of a connection, by its certificate.
type Peer struct {
	// Names are the nodes that it may act as: the common name and all DNS
	// names of its certificate.
	Names []string
	// Admin: it may do everything.
	Admin bool
	// Until is when its certificate ends.
	Until time.Time
}

// PeerOf reads a certificate that has been verified.
func PeerOf(cert *x509.Certificate) Peer {
	p := Peer{Names: slices.Clone(cert.DNSNames), Admin: slices.Contains(cert.Subject.Organization, AdminOrganisation), Until: cert.NotAfter}
	if name := cert.Subject.CommonName; name != "" && !slices.Contains(p.Names, name) {
		p.Names = append(p.Names, name)
	}
	return p
}

// Is says whether the peer may act as the node.
func (p Peer) Is(node string) bool { return p.Admin || slices.Contains(p.Names, node) }
