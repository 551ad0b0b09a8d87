package identity_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/identity"
	"github.com/nicferry/nicferry/internal/mtls"
)

func TestS4_JoinOnceAndNoMore(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	d := newDoor(t, a)
	dir := filepath.Join(t.TempDir(), "state", "own")
	opts := identity.JoinOptions{Dir: dir, Token: newToken(t, a, "n1"), Addresses: []string{"https://127.0.0.1:1", d.address}}
	var told []string
	opts.Told = func(step string) { told = append(told, step) }
	made, err := identity.Join(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if made.Node != "n1" || len(told) == 0 || strings.Contains(strings.Join(told, " "), string(opts.Token)[10:]) {
		t.Errorf("joined as %q, and told %q", made.Node, told)
	}
	for name, mode := range map[string]fs.FileMode{".": 0o700, "key.pem": 0o600, "cert.pem": 0o644, "ca.pem": 0o644, "identity.json": 0o644} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v; want mode %04o", name, info, err, mode)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*.new")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	read, err := identity.Load(dir)
	if err != nil || read.Node != "n1" || len(read.Controllers) != 2 || read.Controllers[1] != d.address {
		t.Errorf("read again: %+v, %v", read, err)
	}
	cert, err := read.Certificate()
	if peer := a.Peer(cert); err != nil || !peer.Itself("n1") || peer.Join != 1 {
		t.Errorf("the certificate is %s's, of join %d: %v", peer, peer.Join, err)
	}

	// The same again, by mistake, and by somebody else.
	if _, err := identity.Join(t.Context(), opts); !errors.Is(err, identity.ErrJoined) || !strings.Contains(err.Error(), "--force") {
		t.Errorf("the same again: %v, want ErrJoined", err)
	}
	opts.Dir = filepath.Join(t.TempDir(), "other")
	if _, err := identity.Join(t.Context(), opts); !api.IsRefused(err) || !strings.Contains(err.Error(), "was used already") {
		t.Errorf("the token once more: %v, want a refusal", err)
	}
	if _, err := identity.Load(opts.Dir); !errors.Is(err, identity.ErrNone) {
		t.Errorf("there is an identity of a join that was refused: %v", err)
	}

	// By force, with a new token; the first certificate is void then.
	opts.Dir, opts.Token, opts.Force = dir, newToken(t, a, "n1"), true
	if _, err := identity.Join(t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	if err := a.Check(t.Context(), a.Peer(cert)); !api.IsRefused(err) {
		t.Errorf("the certificate of the join before: %v, want a refusal", err)
	}
	if cert, err = read.Certificate(); err != nil || a.Check(t.Context(), a.Peer(cert)) != nil {
		t.Errorf("the certificate of the second join: %v", err)
	}
}

// Nothing is sent to a controller that is not the token's, and nothing changes
// of the identity that there is.
func TestS4_AnotherControllerHearsNothing(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	own := joined(t, a)
	other := newDoor(t, newAuthority(t))
	before, err := own.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(own.Files().Key)
	_, err = identity.Join(t.Context(), identity.JoinOptions{Dir: dir, Token: newToken(t, a, "n1"), Addresses: []string{other.address}, Force: true})
	if _, ok := errors.AsType[*mtls.PinError](err); !ok || !strings.Contains(err.Error(), "the token was not sent") {
		t.Errorf("another controller: %v, want a PinError", err)
	}
	if n := other.requests.Load(); n != 0 {
		t.Errorf("%d requests came to it", n)
	}
	if after, err := own.Certificate(); err != nil || !after[0].Equal(before[0]) {
		t.Errorf("the identity has changed: %v", err)
	}
}

// A token is good for one key, so the key outlives an answer that was lost.
func TestAnAnswerThatWasLost(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	d := newDoor(t, a)
	d.deaf.Store(true)
	opts := identity.JoinOptions{Dir: filepath.Join(t.TempDir(), "own"), Token: newToken(t, a, "n1", d.address)}
	if _, err := identity.Join(t.Context(), opts); err == nil {
		t.Fatal("joined without an answer")
	}
	if _, err := identity.Load(opts.Dir); !errors.Is(err, identity.ErrNone) {
		t.Errorf("there is an identity without an answer: %v", err)
	}
	d.deaf.Store(false)
	if _, err := identity.Join(t.Context(), opts); err != nil {
		t.Errorf("the same token again: %v", err)
	}
	if _, err := os.Stat(filepath.Join(opts.Dir, "join.key")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the key of the join is still there: %v", err)
	}
}

func TestTokensThatDoNotServe(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	whole := newToken(t, a, "n1")
	for name, tc := range map[string]struct {
		token api.Secret
		want  string
	}{
		"nothing":       {"", "this is no token"},
		"another thing": {"glpat-0123456789", "this is no token"},
		"half":          {whole[:len(whole)/2], "not the whole of a token"},
		"no address":    {whole, "give one: nicferry-agent join ADDRESS TOKEN"},
	} {
		dir := filepath.Join(t.TempDir(), "own")
		_, err := identity.Join(t.Context(), identity.JoinOptions{Dir: dir, Token: tc.token})
		if _, ok := errors.AsType[identity.TokenError](err); !ok || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
		if err != nil && len(tc.token) > 20 && strings.Contains(err.Error(), string(tc.token[10:])) {
			t.Errorf("%s: the error has the token: %v", name, err)
		}
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: a directory was made for it", name)
		}
	}
}

func TestParseAddresses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"10.0.0.1":                            "https://10.0.0.1:7460",
		"10.0.0.1:99":                         "https://10.0.0.1:99",
		"https://10.0.0.1:99/":                "https://10.0.0.1:99",
		"fd00::1":                             "https://[fd00::1]:7460",
		"[fd00::1]":                           "https://[fd00::1]:7460",
		"[fd00::1]:99":                        "https://[fd00::1]:99",
		"controller.example":                  "https://controller.example:7460",
		"a.example, https://b.example:1":      "https://a.example:7460 https://b.example:1",
		"":                                    "",
		"a,":                                  "",
		"http://10.0.0.1:7460":                "",
		"unix:///run/nicferry/nicferryd.sock": "",
		"10.0.0.1:0":                          "",
		"0.0.0.0":                             "",
		"a b":                                 "",
		"https://u@h":                         "",
		"h/path":                              "",
	} {
		got, err := identity.ParseAddresses(text)
		if strings.Join(got, " ") != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
}
