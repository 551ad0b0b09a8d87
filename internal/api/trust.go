package api

import (
	"time"

	"github.com/nicferry/nicferry/nic"
)

// A TokenRequest asks for a token with which a node may join once.
type TokenRequest struct {
	// Node is the node's name at the controller.
	Node string `json:"node" maxLength:"63"`
	// TTL is how long the token is good, at most 24 h; default 10 m.
	TTL nic.Duration `json:"ttl,omitempty"`
	// Controllers are the addresses that are written into the token, https://
	// with host and port; none is fine.
	Controllers []string `json:"controllers,omitempty" maxItems:"8"`
}

// A Token lets a node join once. It does not have the secret.
type Token struct {
	ID   string `json:"id"`
	Node string `json:"node"`
	// Instances are the node's ids at the providers that the token was made for.
	Instances map[string]nic.InstanceID `json:"instances,omitempty"`
	Created   time.Time                 `json:"created"`
	Expires   time.Time                 `json:"expires"`
}

// A NewToken is a token with its secret, which is told once.
type NewToken struct {
	Token
	// Text is what nicferry-agent join is given.
	Text Secret `json:"text"`
	// Addresses are where the controller can be reached, as far as it knows;
	// empty if it listens on its socket alone.
	Addresses []string `json:"addresses,omitempty"`
}

// A TokenRefusal is why a token lets nobody in whose secret is right, so that it is
// known whose it is. Callers get the *Error alone.
type TokenRefusal struct {
	Err  error  // an *Error
	ID   string // the token's
	Node string // which it was made for
}

// Error is the reason.
func (r *TokenRefusal) Error() string { return r.Err.Error() }

// Unwrap is the *Error.
func (r *TokenRefusal) Unwrap() error { return r.Err }

// A JoinRequest is what a node shows that has no certificate yet.
type JoinRequest struct {
	Token Secret `json:"token" maxLength:"8192"`
	// CSR is a certificate signing request in PEM text. Only its key counts;
	// the controller decides what the certificate says.
	CSR string `json:"csr" maxLength:"16384"`
}

// A CSRRequest asks for a new certificate for the caller.
type CSRRequest struct {
	// CSR is a certificate signing request in PEM text. Only its key counts.
	CSR string `json:"csr" maxLength:"16384"`
}

// A CertificateRequest asks for a person's certificate.
type CertificateRequest struct {
	// Name is the person's or the program's, for the log.
	Name string `json:"name" maxLength:"63"`
	// Role is admin or viewer.
	Role string `json:"role" enum:"admin,viewer"`
	// TTL is how long the certificate is good, at most 90 days.
	TTL nic.Duration `json:"ttl"`
	// CSR is a certificate signing request in PEM text. Only its key counts.
	CSR string `json:"csr" maxLength:"16384"`
}

// An Issued is a certificate that the controller has made.
type Issued struct {
	// Node is whose it is; empty for a person's.
	Node string `json:"node,omitempty"`
	// Certificate is PEM text.
	Certificate string `json:"certificate"`
	// CA is what signs the controller's own certificate, PEM text.
	CA string `json:"ca"`
	// Expires is when the certificate ends.
	Expires time.Time `json:"expires"`
}
