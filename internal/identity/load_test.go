package identity_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/conf"
	"github.com/nicferry/nicferry/internal/identity"
)

// Each fault of the files is told, with what to do.
func TestFilesThatDoNotServe(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	for name, tc := range map[string]struct {
		harm func(dir string) error
		want string
	}{
		"nothing":          {func(string) error { return nil }, ""},
		"no directory":     {os.RemoveAll, "has not joined"},
		"no record":        {remove("identity.json"), "has not joined"},
		"no key":           {remove("key.pem"), "join again"},
		"no certificate":   {remove("cert.pem"), "join again"},
		"an open key":      {chmod("key.pem", 0o640), "chmod 600"},
		"an open folder":   {chmod(".", 0o750), "chmod 700"},
		"a link for a key": {symlink("key.pem"), "is not a file"},
		"a file for a folder": {func(dir string) error {
			return errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600))
		}, "is not a directory"},
		"half a record":    {write("identity.json", `{"node": "n1"`), "join again"},
		"no controller":    {write("identity.json", `{"node": "n1"}`), "names no controller"},
		"a bad controller": {write("identity.json", `{"node": "n1", "controllers": ["http://x"]}`), "never served without TLS"},
		"a bad node":       {write("identity.json", `{"node": "../n1", "controllers": ["https://h:1"]}`), "node name"},
		"another's pair":   {write("cert.pem", "nonsense"), "join again"},
	} {
		dir := filepath.Dir(joined(t, a).Files().Key)
		if err := tc.harm(dir); err != nil {
			t.Fatal(err)
		}
		_, err := identity.Load(dir)
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
		if errors.Is(err, identity.ErrNone) != (tc.want == "has not joined") {
			t.Errorf("%s: %v: whether there is none is told wrongly", name, err)
		}
	}
}

func remove(name string) func(string) error {
	return func(dir string) error { return os.Remove(filepath.Join(dir, name)) }
}

func chmod(name string, mode os.FileMode) func(string) error {
	return func(dir string) error { return os.Chmod(filepath.Join(dir, name), mode) }
}

func write(name, text string) func(string) error {
	return func(dir string) error { return os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600) }
}

func symlink(name string) func(string) error {
	return func(dir string) error {
		path := filepath.Join(dir, name)
		return errors.Join(os.Rename(path, path+".real"), os.Symlink(path+".real", path))
	}
}

// What the config leaves open is the identity's, and what it says goes before.
func TestComplete(t *testing.T) {
	t.Parallel()
	own := joined(t, newAuthority(t))
	dir, none := filepath.Dir(own.Files().Key), t.TempDir()
	if err := os.Chmod(none, 0o700); err != nil {
		t.Fatal(err)
	}
	const socket, remote = "unix:///run/nicferry/nicferryd.sock", "https://10.0.0.1:7460"
	for name, tc := range map[string]struct {
		text, dir  string
		node       string
		controller string
		joined     bool
		want       string // the error
	}{
		"nothing given, joined":      {"", dir, "n1", own.Controllers[0], true, ""},
		"nothing given, not joined":  {"node: h", none, "h", socket, false, ""},
		"another way, joined":        {"controllers: [" + remote + "]", dir, "n1", remote, true, ""},
		"another way, not joined":    {"controllers: [" + remote + "]", none, "", "", false, "nicferry-agent join"},
		"the socket, joined":         {"node: h\ncontrollers: [" + socket + "]", dir, "h", socket, false, ""},
		"its own certificates":       {"node: h\ncontrollers: [" + remote + "]\ntls: {ca: /a, cert: /b, key: /c}", dir, "h", remote, false, ""},
		"the same node":              {"node: n1", dir, "n1", own.Controllers[0], true, ""},
		"another node":               {"node: n2", dir, "", "", false, "take node out of the config"},
		"the socket and another way": {"controllers: [" + socket + ", " + remote + "]", dir, "n1", socket, true, ""},
	} {
		c, err := conf.ParseAgent("in", []byte("version: 1\nidentityDir: "+tc.dir+"\n"+tc.text+"\n"))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := identity.Complete(c)
		if tc.want != "" {
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: %v, want %q", name, err, tc.want)
			}
			continue
		}
		if err != nil || c.Node != tc.node || c.Controllers[0] != tc.controller || (got != nil) != tc.joined {
			t.Errorf("%s: node %s at %q, identity %v, %v; want %+v", name, c.Node, c.Controllers, got, err, tc)
		}
		if tc.joined && (c.TLS == nil || c.TLS.Key != own.Files().Key) {
			t.Errorf("%s: TLS %+v, want the identity's", name, c.TLS)
		}
	}
}
