// Package authority is the controller's own certificate authority, kept in the
// store.
package authority

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/mtls"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// How long certificates are good, at most.
const (
	NodeLife   = 24 * time.Hour // from beginning to end
	MaxUser    = 90 * 24 * time.Hour
	serverLife = 30 * 24 * time.Hour
	caLife     = 10 * 365 * 24 * time.Hour
)

// How long tokens are good.
const (
	DefaultTokenLife = 10 * time.Minute
	MaxTokenLife     = 24 * time.Hour
	// keepExpired is how long one that has ended is kept, to be told so.
	keepExpired = 24 * time.Hour
)

// Options are the parts of an Authority.
type Options struct {
	Store store.Store  // required
	Log   *slog.Logger // required
	// Instances are the ids of a node at the providers by the config, and whether
	// it may join. Required.
	Instances func(node string) (map[string]nic.InstanceID, bool)
	// Address is where the controller listens, an IP address, or none, and a
	// port; Names are further names and addresses of it. Optional.
	Address string
	Names   []string
	// Refuse says why nobody gets a certificate here; empty if they do. Who is
	// revoked is known all the same.
	Refuse string
	// Addresses are the machine's; optional, default those that it has.
	Addresses func() ([]netip.Addr, error)
	// NodeLife is how long nodes' certificates are good from their making;
	// optional, default and at most the constant without what is behind.
	NodeLife time.Duration
	// Now is the clock; optional.
	Now func() time.Time
}

// An Authority issues certificates, and knows which nodes may use theirs. Its
// methods may be called concurrently, also by several controllers on one store.
// What it refuses is an *api.Error; other errors are the store's.
type Authority struct {
	opts  Options
	ca    *pair
	roots *x509.CertPool

	mu     sync.Mutex
	server *serverCert // nil before the first handshake
}

// Open takes the CA from the store, or makes one if there is none yet. That its
// time is not now is for the log: the socket serves all the same.
func Open(ctx context.Context, opts Options) (*Authority, error) {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Addresses == nil {
		opts.Addresses = machineAddresses
	}
	if most := NodeLife - mtls.Backdate; opts.NodeLife <= 0 || opts.NodeLife > most {
		opts.NodeLife = most // what is behind counts too
	}
	ca, err := openCA(ctx, opts.Store, opts.Now())
	if err != nil {
		return nil, err
	}
	if now := opts.Now(); now.Before(ca.cert.NotBefore) || now.After(ca.cert.NotAfter) {
		opts.Log.ErrorContext(ctx, "the time of the controller's CA is not now, nobody will take its certificates: set this machine's clock (timedatectl)",
			slog.Time("from", ca.cert.NotBefore), slog.Time("until", ca.cert.NotAfter), slog.Time("now", now))
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	return &Authority{opts: opts, ca: ca, roots: roots}, nil
}

// Fingerprint is the SHA-256 of the CA's certificate, in hex.
func (a *Authority) Fingerprint() string { return mtls.Fingerprint(a.ca.cert) }

// CA is the CA's certificate as PEM text.
func (a *Authority) CA() string { return encodeCert(a.ca.cert.Raw) }

// Peer says whom the certificates speak for that a client has shown.
func (a *Authority) Peer(chain []*x509.Certificate) mtls.Peer {
	return mtls.Judge(chain, a.roots, a.opts.Now())
}

// Certificate is the controller's own, with the CA's behind it. It makes a new
// one when the last is through with two thirds of its time, or the machine has
// other addresses.
func (a *Authority) Certificate() (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.opts.Now()
	if a.server.good(now) {
		return &a.server.cert, nil
	}
	next, err := a.makeServer(now)
	if err != nil {
		return nil, err
	}
	next.looked = now
	a.server = next
	return &next.cert, nil
}

// refused is an error that says what policy does not allow.
func refused(format string, args ...any) error {
	return &api.Error{Code: api.CodeRefused, Message: fmt.Sprintf(format, args...)}
}

// invalid is an error of a field of a request.
func invalid(field string, err error) error {
	return nic.Faults{{Field: "body." + field, Problem: err.Error()}}
}

// open refuses all that needs an authority where there is to be none.
func (a *Authority) open() error {
	if a.opts.Refuse != "" {
		return refused("%s", a.opts.Refuse)
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
