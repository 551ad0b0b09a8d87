package server_test

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/client"
	"github.com/nicferry/nicferry/internal/api/server"
	"github.com/nicferry/nicferry/internal/authority"
	"github.com/nicferry/nicferry/internal/events"
	"github.com/nicferry/nicferry/internal/mtls/mtlstest"
	"github.com/nicferry/nicferry/internal/store/memstore"
	"github.com/nicferry/nicferry/nic"
)

// startTelling starts a server with an authority that lets any node join, and
// returns what it tells.
func startTelling(t *testing.T) (*client.Client, *authority.Authority, *events.Log, *lockedBuffer) {
	t.Helper()
	records := memstore.New(memstore.Options{})
	t.Cleanup(func() { records.Close() })
	trust := newAuthority(t, slog.New(slog.DiscardHandler), func(o *authority.Options) {
		o.Store, o.Instances = records, func(string) (map[string]nic.InstanceID, bool) { return nil, true }
	})
	happened := events.New(events.Options{})
	log := &lockedBuffer{}
	c := start(t, func(o *server.Options) {
		o.Trust, o.Events, o.Log = trust, happened, slog.New(slog.NewTextHandler(log, nil))
	}).client()
	return c, trust, happened, log
}

// What lets somebody in is told, and nothing that is told lets anybody in.
func TestTokensAreTold(t *testing.T) {
	t.Parallel()
	c, _, happened, log := startTelling(t)
	csr := mtlstest.Request(t, mtlstest.Key(t))
	var secrets []string
	for _, node := range []string{"n1", "n2"} {
		token, err := c.CreateToken(t.Context(), api.TokenRequest{Node: node})
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, string(token.Text))
		if node == "n2" {
			if err := c.DeleteToken(t.Context(), token.ID); err != nil {
				t.Fatal(err)
			}
		}
		_, err = c.Join(t.Context(), token.Text, csr)
		if (err != nil) != (node == "n2") {
			t.Errorf("join of %s: %v", node, err)
		}
	}
	if _, err := c.CreateToken(t.Context(), api.TokenRequest{Node: "not a name"}); err == nil {
		t.Error("a token for what is no node's name")
	}
	if _, err := c.CreateCertificate(t.Context(), api.CertificateRequest{Name: "eve", Role: "viewer", TTL: nic.Duration(3600e9), CSR: csr}); err != nil {
		t.Fatal(err)
	}
	for _, operation := range []string{"create-token", "delete-token", "create-certificate"} {
		if line := `msg="admin call" operation=` + operation + " peer=admin from=\"the socket\""; !strings.Contains(log.String(), line) {
			t.Errorf("the log does not say who called %s:\n%s", operation, log.String())
		}
	}
	var told []string
	for _, e := range happened.After("", 0, 0).Items {
		told = append(told, string(e.Reason)+" "+e.Node)
		for _, secret := range append(secrets, "PRIVATE", "CERTIFICATE") {
			if strings.Contains(fmt.Sprint(e), secret) {
				t.Errorf("an event has a secret: %+v", e)
			}
		}
	}
	want := "TokenCreated n1, TokenUsed n1, TokenCreated n2, TokenDeleted , TokenRefused , CertificateIssued "
	if got := strings.Join(told, ", "); got != want {
		t.Errorf("told %q, want %q", got, want)
	}
}

// A token that was used already is told as the node's, in events and log; a guess of
// its secret is not.
func TestARefusedTokenIsItsNodes(t *testing.T) {
	t.Parallel()
	c, trust, happened, log := startTelling(t)
	token, err := trust.CreateToken(t.Context(), api.TokenRequest{Node: "vm1"})
	if err != nil {
		t.Fatal(err)
	}
	content, err := api.ParseToken(token.Text)
	if err != nil {
		t.Fatal(err)
	}
	content.Secret = "guessed"
	guess, err := content.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for i, tc := range []struct {
		text    api.Secret
		refused bool
	}{{token.Text, false}, {token.Text, true}, {guess, true}} {
		if _, err := c.Join(t.Context(), tc.text, mtlstest.Request(t, mtlstest.Key(t))); api.IsRefused(err) != tc.refused {
			t.Fatalf("join %d: %v", i, err)
		}
	}
	var nodes []string
	for _, e := range happened.After("", 0, 0).Items {
		if e.Reason == "TokenRefused" {
			nodes = append(nodes, e.Node)
			if named := strings.Contains(e.Message, token.ID); named != (e.Node == "vm1") {
				t.Errorf("event %+v names the token: %t", e, named)
			}
		}
	}
	if !slices.Equal(nodes, []string{"vm1", ""}) {
		t.Errorf("told of nodes %q", nodes)
	}
	if n := strings.Count(log.String(), " node=vm1 token="+token.ID); n != 1 {
		t.Errorf("the log says %d times whose token it was:\n%s", n, log.String())
	}
}
