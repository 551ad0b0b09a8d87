package authority_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"maps"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/authority"
	"github.com/nicferry/nicferry/internal/mtls"
	"github.com/nicferry/nicferry/internal/mtls/mtlstest"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/internal/store/boltstore"
	"github.com/nicferry/nicferry/internal/store/memstore"
	"github.com/nicferry/nicferry/nic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// config is the part of a controller's config that says who may join.
type config struct {
	mu    sync.Mutex
	nodes map[string]map[string]nic.InstanceID
}

func (c *config) set(node string, instances map[string]nic.InstanceID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes[node] = instances
	if instances == nil {
		delete(c.nodes, node)
	}
}

func (c *config) instances(node string) (map[string]nic.InstanceID, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ids, ok := c.nodes[node]
	return maps.Clone(ids), ok
}

// rig is a controller's authority, whose config a test may change.
type rig struct {
	*authority.Authority
	t      *testing.T
	store  store.Store
	config *config
}

func begin(t *testing.T, s store.Store, edit ...func(*authority.Options)) *rig {
	t.Helper()
	r := &rig{t: t, store: s, config: &config{nodes: map[string]map[string]nic.InstanceID{
		"vm1": {"vms": "uuid-1"}, "vm2": {"vms": "uuid-2"},
	}}}
	r.Authority = r.again(edit...)
	return r
}

// again is a further controller on the same store and config.
func (r *rig) again(edit ...func(*authority.Options)) *authority.Authority {
	r.t.Helper()
	opts := authority.Options{
		Store: r.store, Log: slog.New(slog.DiscardHandler), Instances: r.config.instances, Address: "10.0.0.1:7460",
		Addresses: func() ([]netip.Addr, error) { return []netip.Addr{netip.MustParseAddr("10.0.0.1")}, nil },
	}
	for _, e := range edit {
		e(&opts)
	}
	a, err := authority.Open(r.t.Context(), opts)
	if err != nil {
		r.t.Fatal(err)
	}
	return a
}

func newMem(t *testing.T) store.Store {
	s := memstore.New(memstore.Options{})
	t.Cleanup(func() { s.Close() })
	return s
}

// onBoth runs a test on both kinds of store.
func onBoth(t *testing.T, test func(t *testing.T, s store.Store)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		test(t, newMem(t))
	})
	t.Run("bolt", func(t *testing.T) {
		t.Parallel()
		s, err := boltstore.Open(context.Background(), filepath.Join(t.TempDir(), "store.db"), boltstore.Options{NoSync: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		test(t, s)
	})
}

func (r *rig) token(req api.TokenRequest) api.NewToken {
	r.t.Helper()
	token, err := r.CreateToken(r.t.Context(), req)
	if err != nil {
		r.t.Fatal(err)
	}
	return token
}

// joined is the peer that joins a node with a token that is made for that.
func (r *rig) joined(node string) mtls.Peer {
	r.t.Helper()
	issued, err := r.Join(r.t.Context(), api.JoinRequest{Token: r.token(api.TokenRequest{Node: node}).Text, CSR: mtlstest.Request(r.t, mtlstest.Key(r.t))})
	if err != nil {
		r.t.Fatal(err)
	}
	return r.Peer([]*x509.Certificate{parse(r.t, issued.Certificate)})
}

func parse(t *testing.T, text string) *x509.Certificate {
	t.Helper()
	block, rest := pem.Decode([]byte(text))
	if block == nil || len(rest) > 0 {
		t.Fatalf("not one certificate: %q", text)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// tamper is the token with something else in its text.
func tamper(t *testing.T, token api.NewToken, edit func(*api.TokenContent)) api.Secret {
	t.Helper()
	content, err := api.ParseToken(token.Text)
	if err != nil {
		t.Fatal(err)
	}
	edit(&content)
	text, err := content.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return text
}
