package authority_test

import (
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/authority"
	"github.com/nicferry/nicferry/internal/mtls"
	"github.com/nicferry/nicferry/internal/mtls/mtlstest"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// refusedOf says whether a refusal names the token and its node; of "" it must name
// none.
func refusedOf(err error, token, node string) bool {
	of, ok := errors.AsType[*api.TokenRefusal](err)
	if token == "" {
		return api.IsRefused(err) && !ok
	}
	return api.IsRefused(err) && ok && of.ID == token && of.Node == node
}

// A token whose secret is right is told by its id and node, whatever else is wrong;
// what a wrong one says of itself is not.
func TestS4_RefusedTokensAreTheirNodes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, newMem(t))
		join := func(text api.Secret) error {
			_, err := r.Join(t.Context(), api.JoinRequest{Token: text, CSR: mtlstest.Request(t, mtlstest.Key(t))})
			return err
		}
		expired, moved := r.token(api.TokenRequest{Node: "vm1", TTL: nic.Duration(time.Minute)}), r.token(api.TokenRequest{Node: "vm1"})
		time.Sleep(time.Minute)
		used := r.token(api.TokenRequest{Node: "vm2"})
		if err := join(used.Text); err != nil {
			t.Fatal(err)
		}
		wrong := func(of api.NewToken) api.Secret {
			return tamper(t, of, func(c *api.TokenContent) { c.Secret = "guessed" })
		}
		for name, tc := range map[string]struct {
			text     api.Secret
			id, node string
		}{
			"expired":                 {expired.Text, expired.ID, "vm1"},
			"expired, guessed":        {wrong(expired), "", ""},
			"used":                    {used.Text, used.ID, "vm2"},
			"used, guessed":           {wrong(used), "", ""},
			"as another node":         {tamper(t, moved, func(c *api.TokenContent) { c.Node = "vm2" }), moved.ID, "vm1"},
			"waiting, guessed":        {wrong(moved), "", ""},
			"of another CA":           {tamper(t, moved, func(c *api.TokenContent) { c.CA = strings.Repeat("0", 64) }), "", ""},
			"used, as another node's": {tamper(t, used, func(c *api.TokenContent) { c.Node = "vm1" }), "", ""},
		} {
			if err := join(tc.text); !refusedOf(err, tc.id, tc.node) {
				t.Errorf("%s: %#v, want one of token %q of node %q", name, err, tc.id, tc.node)
			}
		}
		r.config.set("vm1", map[string]nic.InstanceID{"vms": "uuid-3"})
		if err := join(moved.Text); !refusedOf(err, moved.ID, "vm1") {
			t.Errorf("another instance: %#v", err)
		}
	})
}

func refusedWith(err error, want string) bool {
	return api.IsRefused(err) && strings.Contains(err.Error(), want)
}

// What a node gets is made out for it and for its join alone, for less than a
// day, whatever its request says.
func TestJoin(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s store.Store) {
		r := begin(t, s)
		token := r.token(api.TokenRequest{Node: "vm1", Controllers: []string{"https://10.0.0.1:7460"}})
		content, err := api.ParseToken(token.Text)
		if err != nil || content.CA != r.Fingerprint() || content.Node != "vm1" || !slices.Equal(content.Controllers, []string{"https://10.0.0.1:7460"}) {
			t.Fatalf("token: %+v, %v", content, err)
		}
		issued, err := r.Join(t.Context(), api.JoinRequest{Token: token.Text, CSR: mtlstest.Request(t, mtlstest.Key(t))})
		if err != nil {
			t.Fatal(err)
		}
		cert := parse(t, issued.Certificate)
		if life := cert.NotAfter.Sub(cert.NotBefore); life > 24*time.Hour || life < 23*time.Hour || cert.NotBefore.After(time.Now().Add(-59*time.Minute)) {
			t.Errorf("good from %s to %s", cert.NotBefore, cert.NotAfter)
		}
		if cert.Subject.CommonName != "vm1" || cert.Subject.Organization[0] != mtls.NodeOrganisation || len(cert.DNSNames) > 0 || cert.IsCA ||
			cert.URIs[0].String() != "nicferry://node/vm1?join=1" || cert.KeyUsage != x509.KeyUsageDigitalSignature {
			t.Errorf("certificate: %s %s %v", cert.Subject, cert.URIs, cert.DNSNames)
		}
		peer := r.Peer([]*x509.Certificate{cert})
		if !peer.Itself("vm1") || peer.Join != 1 || r.Check(t.Context(), peer) != nil {
			t.Errorf("peer %+v, %v", peer, r.Check(t.Context(), peer))
		}
		if records, _, err := s.List(t.Context(), "trust/", "", 0); err != nil || strings.Contains(string(records[1].Value), string(content.Secret)) {
			t.Errorf("the secret is in the store: %v", err)
		}
		if again := r.joined("vm1"); again.Join != 2 {
			t.Errorf("joined again as %+v", again)
		}
		if err := r.Check(t.Context(), peer); !refusedWith(err, "has joined again since") {
			t.Errorf("the certificate of before: %v", err)
		}
	})
}

func TestS4_SecondUseRefused(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s store.Store) {
		r := begin(t, s)
		token, key := r.token(api.TokenRequest{Node: "vm1"}), mtlstest.Key(t)
		if _, err := r.Join(t.Context(), api.JoinRequest{Token: token.Text, CSR: mtlstest.Request(t, key)}); err != nil {
			t.Fatal(err)
		}
		// The answer was lost, and the controller is another now.
		second := r.again()
		issued, err := second.Join(t.Context(), api.JoinRequest{Token: token.Text, CSR: mtlstest.Request(t, key)})
		if err != nil || r.Peer([]*x509.Certificate{parse(t, issued.Certificate)}).Join != 1 {
			t.Errorf("the same key again: %v", err)
		}
		if _, err := second.Join(t.Context(), api.JoinRequest{Token: token.Text, CSR: mtlstest.Request(t, mtlstest.Key(t))}); !refusedWith(err, "nicferry node revoke vm1") {
			t.Errorf("another key: %v", err)
		}
		guess := tamper(t, token, func(c *api.TokenContent) { c.Secret = "guessed" })
		if _, err := second.Join(t.Context(), api.JoinRequest{Token: guess, CSR: mtlstest.Request(t, key)}); !refusedWith(err, "is not known here") {
			t.Errorf("another secret: %v", err)
		}
		// The next join ends the replay.
		r.joined("vm1")
		if _, err := r.Join(t.Context(), api.JoinRequest{Token: token.Text, CSR: mtlstest.Request(t, key)}); !refusedWith(err, "is not known here") {
			t.Errorf("after the next join: %v", err)
		}
	})
}

// Of many who come with one token at the same time one gets a certificate.
func TestS4_OneOfManyUsesAToken(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s store.Store) {
		r := begin(t, s)
		token := r.token(api.TokenRequest{Node: "vm1"})
		const many = 8
		errs, joins := make([]error, many), make([]uint64, many)
		var wg sync.WaitGroup
		for i := range many {
			trust, csr := r.again(), mtlstest.Request(t, mtlstest.Key(t))
			wg.Go(func() {
				issued, err := trust.Join(t.Context(), api.JoinRequest{Token: token.Text, CSR: csr})
				if errs[i] = err; err == nil {
					joins[i] = trust.Peer([]*x509.Certificate{parse(t, issued.Certificate)}).Join
				}
			})
		}
		wg.Wait()
		good := 0
		for i, err := range errs {
			if err == nil && joins[i] == 1 {
				good++
			} else if !refusedWith(err, "used already") {
				t.Errorf("join %d: %v", joins[i], err)
			}
		}
		if good != 1 {
			t.Errorf("%d of %d joined", good, many)
		}
	})
}

func TestS4_ExpiredToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := begin(t, newMem(t))
		key := mtlstest.Key(t)
		token, used := r.token(api.TokenRequest{Node: "vm1"}), r.token(api.TokenRequest{Node: "vm2", TTL: nic.Duration(time.Hour)})
		if _, err := r.Join(t.Context(), api.JoinRequest{Token: used.Text, CSR: mtlstest.Request(t, key)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(authority.DefaultTokenLife - time.Second)
		last := r.token(api.TokenRequest{Node: "vm1", TTL: nic.Duration(time.Second)})
		time.Sleep(time.Second)
		for name, text := range map[string]api.Secret{"default": token.Text, "a second": last.Text} {
			_, err := r.Join(t.Context(), api.JoinRequest{Token: text, CSR: mtlstest.Request(t, mtlstest.Key(t))})
			if !refusedWith(err, "expired at "+time.Now().UTC().Format(time.RFC3339)) || !refusedWith(err, "nicferry token create --node vm1") {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := r.Join(t.Context(), api.JoinRequest{Token: used.Text, CSR: mtlstest.Request(t, key)}); err != nil {
			t.Errorf("the same key while the token is good: %v", err)
		}
		time.Sleep(time.Hour)
		if _, err := r.Join(t.Context(), api.JoinRequest{Token: used.Text, CSR: mtlstest.Request(t, key)}); !refusedWith(err, "used already") {
			t.Errorf("the same key after that: %v", err)
		}
		// What has expired is told for a day, and then it is gone.
		if tokens, err := r.Tokens(t.Context()); err != nil || len(tokens) != 2 || tokens[0].ID != token.ID {
			t.Errorf("tokens %+v, %v", tokens, err)
		}
		time.Sleep(24 * time.Hour)
		fresh := r.token(api.TokenRequest{Node: "vm1"})
		if tokens, err := r.Tokens(t.Context()); err != nil || len(tokens) != 1 || tokens[0].ID != fresh.ID {
			t.Errorf("a day later: tokens %+v, %v", tokens, err)
		}
	})
}

func TestS4_OtherNodesToken(t *testing.T) {
	t.Parallel()
	r := begin(t, newMem(t))
	token := r.token(api.TokenRequest{Node: "vm1"})
	csr := mtlstest.Request(t, mtlstest.Key(t))
	for name, tc := range map[string]struct {
		edit func(*api.TokenContent)
		want string
	}{
		"other node":      {func(c *api.TokenContent) { c.Node = "vm2" }, "was made for node vm1 and not for vm2"},
		"other CA":        {func(c *api.TokenContent) { c.CA = strings.Repeat("0", 64) }, "of another controller"},
		"other secret":    {func(c *api.TokenContent) { c.Secret += "x" }, "is not known here"},
		"other id":        {func(c *api.TokenContent) { c.ID = "tok-0" }, "is not known here"},
		"an id of a path": {func(c *api.TokenContent) { c.ID = "../ca" }, "is not known here"},
	} {
		if _, err := r.Join(t.Context(), api.JoinRequest{Token: tamper(t, token, tc.edit), CSR: csr}); !refusedWith(err, tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, text := range []api.Secret{"", "nft1_", "nft1_%%%", token.Text[:len(token.Text)-9], token.Text + token.Text, tamper(t, token, func(c *api.TokenContent) { c.Node = "../vm1" })} {
		if _, err := r.Join(t.Context(), api.JoinRequest{Token: text, CSR: csr}); len(nic.AsFaults(err)) == 0 || strings.Contains(err.Error(), string(token.Text[8:20])) {
			t.Errorf("a text that is no token: %v", err)
		}
	}
	if _, err := r.Join(t.Context(), api.JoinRequest{Token: " " + token.Text + "\n", CSR: csr}); err != nil {
		t.Errorf("the token itself, after all that: %v", err)
	}
}

func TestS4_ChangedInstance(t *testing.T) {
	t.Parallel()
	r := begin(t, newMem(t))
	token, key := r.token(api.TokenRequest{Node: "vm1"}), mtlstest.Key(t)
	join := func() error {
		_, err := r.Join(t.Context(), api.JoinRequest{Token: token.Text, CSR: mtlstest.Request(t, key)})
		return err
	}
	r.config.set("vm1", map[string]nic.InstanceID{"vms": "uuid-3"})
	if err := join(); !refusedWith(err, "other instances than when the token was made (map[vms:uuid-1], and now map[vms:uuid-3])") {
		t.Errorf("other instance: %v", err)
	}
	r.config.set("vm1", nil)
	if err := join(); !refusedWith(err, "not in nodes: of the controller's config") {
		t.Errorf("not in the config any more: %v", err)
	}
	if _, err := r.CreateToken(t.Context(), api.TokenRequest{Node: "vm1"}); !refusedWith(err, "not in nodes:") {
		t.Errorf("a token for it: %v", err)
	}
	r.config.set("vm1", map[string]nic.InstanceID{"vms": "uuid-1"})
	if err := join(); err != nil {
		t.Errorf("as it was: %v", err)
	}
	// The same key again is no way around it.
	r.config.set("vm1", map[string]nic.InstanceID{"vms": "uuid-3"})
	if err := join(); !refusedWith(err, "other instances") {
		t.Errorf("other instance, the second time: %v", err)
	}
}

func TestS4_Revoked(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s store.Store) {
		r := begin(t, s)
		if join, known, err := r.Revoke(t.Context(), "vm1"); join > 0 || known || err != nil {
			t.Errorf("one that never came: join %d, %t, %v", join, known, err)
		}
		waiting, other := r.token(api.TokenRequest{Node: "vm1"}), r.token(api.TokenRequest{Node: "vm2"})
		peer := r.joined("vm1")
		for range 2 {
			if join, known, err := r.Revoke(t.Context(), "vm1"); join != 1 || !known || err != nil {
				t.Errorf("revoke: join %d, %t, %v", join, known, err)
			}
		}
		if err := r.Check(t.Context(), peer); !refusedWith(err, "node vm1 was revoked at") || !refusedWith(err, "nicferry-agent join --force there") {
			t.Errorf("check: %v", err)
		}
		if err := r.Check(t.Context(), mtls.Peer{Role: mtls.Node, Names: []string{"vm1"}}); !refusedWith(err, "was revoked") {
			t.Errorf("with an operator's certificate: %v", err)
		}
		if _, err := r.Renew(t.Context(), peer, mtlstest.Request(t, mtlstest.Key(t))); !refusedWith(err, "was revoked") {
			t.Errorf("renew: %v", err)
		}
		if tokens, err := r.Tokens(t.Context()); err != nil || len(tokens) != 1 || tokens[0].ID != other.ID {
			t.Errorf("tokens: %+v, %v", tokens, err)
		}
		if _, err := r.Join(t.Context(), api.JoinRequest{Token: waiting.Text, CSR: mtlstest.Request(t, mtlstest.Key(t))}); !api.IsRefused(err) {
			t.Errorf("with a token of before: %v", err)
		}
		back := r.joined("vm1")
		if err := r.Check(t.Context(), back); err != nil || back.Join != 2 {
			t.Errorf("let in again: %+v, %v", back, err)
		}
		if err := r.Check(t.Context(), peer); !refusedWith(err, "joined again since") {
			t.Errorf("the old certificate then: %v", err)
		}
		// A store of before the join knows less than the certificate says.
		ahead := back
		ahead.Join = 7
		if err := r.Check(t.Context(), ahead); !refusedWith(err, "restored from an older copy") {
			t.Errorf("a join that nobody knows of: %v", err)
		}
	})
}
