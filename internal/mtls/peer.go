package mtls

import (
	"crypto/x509"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The organisations in certificates that say what their holder is.
const (
	// AdminOrganisation may do everything.
	AdminOrganisation = "nicferry-admin"
	// ViewerOrganisation may look at everything.
	ViewerOrganisation = "nicferry-viewer"
	// NodeOrganisation is in the certificates of agents that have joined. Nobody
	// demands it.
	NodeOrganisation = "nicferry-node"
)

// A Role is what a peer is.
type Role string

// The roles.
const (
	Nobody Role = ""       // no certificate, or one that counts for nothing
	Node   Role = "node"   // an agent: may act as its node alone
	Viewer Role = "viewer" // a person who may look at everything
	Admin  Role = "admin"  // a person who may do everything
)

// A Peer is who is at the other end of a connection, by its certificate.
type Peer struct {
	Role Role
	// Names are the nodes that a Node may act as; others have none.
	Names []string
	// User is the common name of an Admin's or Viewer's certificate; empty for
	// others, and for the unix socket.
	User string
	// Until is when its certificate ends; zero without one.
	Until time.Time
	// Expired: the certificate of a Node has ended, not long ago. It is good for
	// a new one and for nothing else.
	Expired bool
	// Join counts the joins of the node up to the one that the certificate stems
	// from; 0 for certificates that stem from no join.
	Join uint64
	// Why says why a certificate that was shown counts for nothing; empty if
	// it counts, or none was shown.
	Why string
}

// PeerOf reads a certificate that has been verified. Without one of the
// organisations it is a node's: its common name and all its DNS names are
// names of the node, or the one that NodeURI has put in.
func PeerOf(cert *x509.Certificate) Peer {
	p := Peer{Until: cert.NotAfter}
	name, join, joined := joinOf(cert.URIs)
	switch {
	case slices.Contains(cert.Subject.Organization, AdminOrganisation):
		p.Role, p.User = Admin, cert.Subject.CommonName
		return p
	case slices.Contains(cert.Subject.Organization, ViewerOrganisation):
		p.Role, p.User = Viewer, cert.Subject.CommonName
		return p
	case joined:
		p.Names, p.Join = []string{name}, join
	default:
		p.Names = slices.Clone(cert.DNSNames)
		if name := cert.Subject.CommonName; name != "" && !slices.Contains(p.Names, name) {
			p.Names = append(p.Names, name)
		}
	}
	if len(p.Names) > 0 {
		p.Role = Node
	}
	return p
}

// NodeURI is the name in the certificate of an agent that has joined: of which
// node it is, and of which of its joins.
func NodeURI(node string, join uint64) *url.URL {
	return &url.URL{
		Scheme: "nicferry", Host: "node", Path: "/" + node,
		RawQuery: url.Values{"join": {strconv.FormatUint(join, 10)}}.Encode(),
	}
}

// joinOf finds what NodeURI has put in.
func joinOf(uris []*url.URL) (node string, join uint64, ok bool) {
	for _, u := range uris {
		if u.Scheme != "nicferry" || u.Host != "node" {
			continue
		}
		join, err := strconv.ParseUint(u.Query().Get("join"), 10, 64)
		if node := strings.TrimPrefix(u.Path, "/"); err == nil && join > 0 && node != "" {
			return node, join, true
		}
	}
	return "", 0, false
}

// Admin says whether the peer may do everything.
func (p Peer) Admin() bool { return p.Role == Admin }

// Sees says whether the peer may look at everything.
func (p Peer) Sees() bool { return p.Role == Admin || p.Role == Viewer }

// Is says whether the peer may act as the node.
func (p Peer) Is(node string) bool { return p.Role == Admin || p.Itself(node) }

// Itself says whether the peer is the node, which an admin is not.
func (p Peer) Itself(node string) bool { return p.Role == Node && slices.Contains(p.Names, node) }

// String names the peer for logs and errors.
func (p Peer) String() string {
	switch {
	case p.Role == Nobody:
		return "nobody"
	case p.Role == Node:
		return "node " + strings.Join(p.Names, ", ")
	case p.User == "":
		return string(p.Role)
	}
	return string(p.Role) + " " + p.User
}
