//go:build linux

package containers

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/nicferry/nicferry/internal/lab"
)

func TestOwnFile(t *testing.T) {
	t.Parallel()
	own := "/var/lib/docker/containers/" + id(1) + "/hosts"
	for name, tt := range map[string]struct {
		path string
		want string
	}{
		"Docker's":                 {own, own},
		"userns-remap":             {"/var/lib/docker/100000.100000/containers/" + id(1) + "/hosts", "/var/lib/docker/100000.100000/containers/" + id(1) + "/hosts"},
		"before the first start":   {"", ""},
		"the machine's":            {"/etc/hosts", ""},
		"another container's":      {"/var/lib/docker/containers/" + id(2) + "/hosts", ""},
		"another file":             {"/var/lib/docker/containers/" + id(1) + "/resolv.conf", ""},
		"relative":                 {id(1) + "/hosts", ""},
		"not clean":                {"/var/lib/docker/containers/../" + id(1) + "/hosts", ""},
		"a directory of that name": {"/var/lib/" + id(1) + "/x/hosts", ""},
	} {
		if got := ownFile(tt.path, id(1), "hosts"); got != tt.want {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}

// What the real engine says of the files that it mounts into a container.
func TestDockerFilesAndNames(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	created := r.get(r.docker("create", "--network=none", lab.ImageName))
	if created.ResolvConfPath != "" || created.HostsPath != "" {
		t.Errorf("before the first start: %+v", created)
	}
	plain := r.get(r.run("--hostname=db", "--domainname=lab.example", lab.ImageName))
	dir := filepath.Join(r.lab.Dir, r.lab.Name, "containers", plain.ID)
	if plain.ResolvConfPath != filepath.Join(dir, "resolv.conf") || plain.HostsPath != filepath.Join(dir, "hosts") ||
		plain.Hostname != "db" || plain.Domainname != "lab.example" || plain.UserDNS || plain.UserSearch {
		t.Errorf("plain: %+v", plain)
	}
	chosen := r.get(r.run("--dns=10.0.0.1", "--dns-search=lab.example", lab.ImageName))
	if !chosen.UserDNS || !chosen.UserSearch || chosen.Hostname != chosen.ID[:12] {
		t.Errorf("with --dns: %+v", chosen)
	}

	theirs := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(theirs, []byte("127.0.0.1 localhost\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	mounted := r.get(r.run("--volume="+theirs+":/etc/hosts", "--volume="+theirs+":/etc/resolv.conf", lab.ImageName))
	if mounted.HostsPath != "" || mounted.ResolvConfPath != "" {
		t.Errorf("a file of the user's counts as Docker's: %+v", mounted)
	}
	guest := r.get(r.docker("run", "--detach", "--init", "--network=container:"+plain.ID, lab.ImageName))
	if guest.HostsPath != "" || guest.ResolvConfPath != "" {
		t.Errorf("another container's files count as its own: %+v", guest)
	}
}
