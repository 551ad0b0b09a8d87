package identity_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/authority"
	"github.com/nicferry/nicferry/internal/identity"
	"github.com/nicferry/nicferry/internal/mtls"
	"github.com/nicferry/nicferry/internal/mtls/mtlstest"
	"github.com/nicferry/nicferry/internal/store/memstore"
	"github.com/nicferry/nicferry/nic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newAuthority is a controller's, on a store of its own.
func newAuthority(t *testing.T) *authority.Authority {
	t.Helper()
	return newAuthorityFor(t, 0)
}

// newAuthorityFor gives agents' certificates so much time; 0 is the most.
func newAuthorityFor(t *testing.T, life time.Duration) *authority.Authority {
	t.Helper()
	records := memstore.New(memstore.Options{})
	t.Cleanup(func() { records.Close() })
	a, err := authority.Open(t.Context(), authority.Options{
		Store: records, Log: slog.New(slog.DiscardHandler), NodeLife: life,
		Instances: func(string) (map[string]nic.InstanceID, bool) { return nil, true },
		Addresses: func() ([]netip.Addr, error) { return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func newToken(t *testing.T, a *authority.Authority, node string, controllers ...string) api.Secret {
	t.Helper()
	token, err := a.CreateToken(t.Context(), api.TokenRequest{Node: node, Controllers: controllers})
	if err != nil {
		t.Fatal(err)
	}
	return token.Text
}

// A door serves POST /v1/join over TLS, as a controller does.
type door struct {
	address  string
	authored *authority.Authority
	requests atomic.Int32
	// deaf has it join whoever asks, and hang up without an answer.
	deaf atomic.Bool
}

func newDoor(t *testing.T, a *authority.Authority) *door {
	t.Helper()
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &door{address: "https://" + plain.Addr().String(), authored: a}
	srv := &http.Server{Handler: d, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	var wg sync.WaitGroup
	wg.Go(func() { srv.Serve(mtls.ListenOwn(plain, a.Certificate)) })
	t.Cleanup(func() { srv.Close(); wg.Wait() })
	return d
}

// ServeHTTP answers a join.
func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.requests.Add(1)
	var req api.JoinRequest
	err := json.NewDecoder(r.Body).Decode(&req)
	var issued api.Issued
	if err == nil {
		issued, err = d.authored.Join(r.Context(), req)
	}
	if d.deaf.Load() {
		panic(http.ErrAbortHandler)
	}
	if err == nil {
		issued.Node = "n1"
		json.NewEncoder(w).Encode(issued)
		return
	}
	said, ok := errors.AsType[*api.Error](err)
	if !ok {
		said = &api.Error{Code: api.CodeInvalid, Message: err.Error()}
	}
	w.WriteHeader(said.Code.Status())
	json.NewEncoder(w).Encode(said)
}

// joined is node n1, which has joined the authority.
func joined(t *testing.T, a *authority.Authority) *identity.Identity {
	t.Helper()
	i, err := identity.Join(t.Context(), identity.JoinOptions{
		Dir: filepath.Join(t.TempDir(), "own"), Token: newToken(t, a, "n1", newDoor(t, a).address),
	})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// link is an identity's way to its authority without a network in between, for
// tests with a clock of their own.
type link struct {
	authority *authority.Authority
	own       *identity.Identity
	away      atomic.Bool
	refused   chan struct{} // wakes who keeps the identity; nil does not
	asked     []time.Time   // each time that somebody asked
	closed    int
}

var errAway = errors.New("controller does not answer")

// Renew implements identity.Controller.
func (l *link) Renew(ctx context.Context, _, csr string) (api.Issued, error) {
	l.asked = append(l.asked, time.Now())
	if l.away.Load() {
		return api.Issued{}, errAway
	}
	shown, err := l.own.Certificate()
	if err != nil {
		return api.Issued{}, err
	}
	peer := l.authority.Peer(shown)
	if peer.Role == mtls.Nobody {
		return api.Issued{}, &api.Error{Code: api.CodeRefused, Message: peer.Why}
	}
	return l.authority.Renew(ctx, peer, csr)
}

// Close implements identity.Controller.
func (l *link) Close() { l.closed++ }

// answers is a controller that answers what it likes.
type answers struct{ with func(csr string) api.Issued }

// Renew implements identity.Controller.
func (a answers) Renew(_ context.Context, _, csr string) (api.Issued, error) { return a.with(csr), nil }

// Close implements identity.Controller.
func (a answers) Close() {}

// issuedTo is a certificate of a node that joins for that; for a key of nobody's
// without a request.
func issuedTo(t *testing.T, a *authority.Authority, node, csr string) api.Issued {
	t.Helper()
	if csr == "" {
		csr = mtlstest.Request(t, mtlstest.Key(t))
	}
	issued, err := a.Join(t.Context(), api.JoinRequest{Token: newToken(t, a, node), CSR: csr})
	if err != nil {
		t.Fatal(err)
	}
	return issued
}
