//go:build linux

package containers

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/containers/tree"
)

// What is in volumes and what was written beside them is on B as it was on A, also
// what is no more there.
func volumesAndLayer(p *pair) {
	id := p.a.run("--name=web", "--volume=data:/data", "--volume=/etc", lab.ImageName)
	fill := `cd /data && echo hello >f && chown 1234:99 f && chmod 4750 f && ln f g && ln -s /etc/passwd l && mkdir -p d/e && touch -d '2001-02-03 04:05:06' d/e d
		rm /etc/group && echo own >/etc/own
		rm -r /root && mkdir /root && echo new >/root/new && rm /bin/vi && echo x >/tmp/x && chmod 700 /tmp && mkfifo /tmp/p`
	list := `cd / && ls -lan --full-time data data/d etc/own root tmp && cat data/f etc/own root/new && ls bin | wc -l && test ! -e /etc/group && test ! -e /bin/vi && readlink /data/l`
	p.a.sh(id, fill)
	want := p.a.sh(id, list)
	p.a.docker("kill", id)
	anonymous := p.a.docker("inspect", `--format={{range .Mounts}}{{if eq .Destination "/etc"}}{{.Name}}{{end}}{{end}}`, id)
	made := p.made(id, "web")
	for range 2 { // the first try may have broken off
		for _, task := range []nic.Task{
			{What: nic.StreamVolume, Ref: "data"}, {What: nic.StreamVolume, Ref: anonymous}, {What: nic.StreamLayer, Container: id},
		} {
			p.must(p.copy(task))
		}
	}
	p.must(p.b.engine.Start(p.Context(), nic.Task{Move: p.move}))
	if got := p.b.sh(made, list); withoutParents(got) != withoutParents(want) {
		p.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for what, task := range map[string]nic.Task{"volume": {What: nic.StreamVolume, Ref: "data"}, "layer": {What: nic.StreamLayer, Container: id}} {
		if err := p.copy(task); !errors.Is(err, ErrRefused) {
			p.Errorf("%s of a container that runs: %v, want ErrRefused", what, err)
		}
	}
	p.b.docker("kill", made)
	p.b.docker("volume", "create", "theirs")
	p.a.docker("volume", "create", "theirs")
	if err := p.copy(nic.Task{What: nic.StreamVolume, Ref: "theirs"}); !errors.Is(err, ErrTaken) {
		p.Errorf("a volume that is there: %v, want ErrTaken", err)
	}
	p.must(p.b.engine.Remove(p.Context(), nic.Task{Move: p.move, Volumes: []string{"data", "theirs", "never"}}))
	if left := p.b.docker("volume", "ls", "--quiet"); left != "theirs" {
		p.Errorf("volumes %q, want theirs", left)
	}
}

// withoutParents leaves out "..", which is of the node.
func withoutParents(list string) string {
	var lines []string
	for line := range strings.Lines(list) {
		if !strings.HasSuffix(line, " ..\n") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// A volume that is mounted from somewhere, or has a device in it, stays.
func volumeFromElsewhere(p *pair) {
	p.a.docker("volume", "create", "--opt=type=tmpfs", "--opt=device=tmpfs", "memory")
	if _, _, err := p.a.engine.Send(p.Context(), nic.Task{What: nic.StreamVolume, Ref: "memory"}); !errors.Is(err, ErrRefused) {
		p.Errorf("got %v, want ErrRefused", err)
	}
	id := p.a.run("--volume=memory:/memory", "--volume=dev:/dev2", lab.ImageName)
	if f, err := p.a.engine.Describe(p.Context(), id); err != nil || f.Volumes[0].Driver == f.Volumes[1].Driver {
		p.Errorf("volumes %+v, %v", f.Volumes, err)
	}
	if _, err := p.create(id, "web"); !errors.Is(err, ErrRefused) {
		p.Errorf("made with an empty one instead: %v, want ErrRefused", err)
	}
	p.a.sh(id, "mknod /dev2/mem c 1 1")
	body, _, err := p.a.engine.Send(p.Context(), nic.Task{What: nic.StreamVolume, Ref: "dev"})
	p.must(err)
	defer body.Close()
	if _, err := io.Copy(io.Discard, body); !errors.Is(err, tree.ErrRefused) {
		p.Errorf("a device node: %v, want ErrRefused", err)
	}
}

// An image comes with its id and takes no name from another.
func imageGoesAlong(p *pair) {
	old := p.a.docker("inspect", "--format={{.Id}}", lab.ImageName)
	id := p.a.docker("create", "--network=none", lab.ImageName)
	image := p.a.docker("commit", "--change=LABEL x=y", id, "shop:1")
	p.a.docker("tag", image, lab.ImageName)
	p.b.docker("tag", old, lab.ImageName)
	web := p.a.run("--name=shop", "shop:1")
	if _, err := p.create(web, "shop"); err == nil || !strings.Contains(err.Error(), "not on this node") {
		p.Errorf("made without its image: %v", err)
	}
	p.must(p.copy(nic.Task{What: nic.StreamImage, Ref: image}))
	p.must(p.b.engine.Pull(p.Context(), nic.Task{Ref: "nowhere.invalid/shop:1", Image: image}, nil)) // it is there
	if got := p.b.docker("inspect", "--format={{.Id}}", lab.ImageName); got != old {
		p.Errorf("%s is %s now", lab.ImageName, got)
	}
	made := p.made(web, "shop")
	if got := p.b.docker("inspect", "--format={{.Image}} {{.Config.Image}}", made); got != image+" nicferry.moved/shop:1" {
		p.Errorf("made of %s", got)
	}
	if id := p.b.docker("images", "--quiet", "shop:1"); id != "" { // whoever runs shop:1 here gets that of a registry
		p.Errorf("shop:1 is %s", id)
	}
	p.b.docker("start", made)
	config, _, err := p.b.engine.Send(p.Context(), nic.Task{What: nic.StreamConfig, Container: made})
	p.must(err)
	if data, err := io.ReadAll(config); err != nil || !bytes.Contains(data, []byte(`"Image":"shop:1"`)) {
		p.Errorf("on its way back it is not of shop:1: %v", err)
	}
	p.move = nic.NewMoveID()
	p.a.docker("rename", "shop", "old")
	made = p.made(p.a.run("--name=shop", lab.ImageName), "shop2") // there, that name is another image's
	if got := p.b.docker("inspect", "--format={{.Image}} {{.Config.Image}}", made); got != image+" "+image {
		p.Errorf("made of %s", got)
	}
	if _, _, err := p.a.engine.Send(p.Context(), nic.Task{What: nic.StreamImage, Ref: "none:1"}); err == nil || errors.Is(err, ErrNotFound) {
		p.Errorf("an image that is not there: %v, want no word of a container", err)
	}
	wrong := "sha256:" + strings.Repeat("0", 64)
	data := p.read(nic.Task{What: nic.StreamImage, Ref: image})
	if err := p.b.engine.Take(p.Context(), nic.Task{What: nic.StreamImage, Ref: wrong}, bytes.NewReader(data)); !errors.Is(err, ErrRefused) {
		p.Errorf("another image than said: %v, want ErrRefused", err)
	}
	if err := p.b.engine.Take(p.Context(), nic.Task{What: nic.StreamImage, Ref: image}, bytes.NewReader(data[:len(data)/2])); err == nil {
		p.Error("half an image is taken")
	}
}

// Another node fills a disk no further than to its last 20th.
func TestRoomIsLeftOnTheDisk(t *testing.T) {
	t.Parallel()
	netnstest.RequireRoot(t)
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil { // in the node's own mounts
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	read := func() error {
		_, err := io.ReadAll(&roomy{from: strings.NewReader("x"), dir: dir})
		return err
	}
	if err := read(); err != nil {
		t.Errorf("on an empty disk: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "full"), make([]byte, 2_000_000), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := read(); !errors.Is(err, ErrRefused) {
		t.Errorf("on a full disk: %v, want ErrRefused", err)
	}
}

func TestImageArchiveLosesItsNames(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		path, body, want string // want is empty if it is refused
	}{
		"docker":      {"manifest.json", `[{"Config":"c","RepoTags":["evil:1"],"repotags":["evil:2"],"Layers":["l"]}]`, `[{"Config":"c","Layers":["l"]}]`},
		"oci":         {"index.json", `{"annotations":{"a":"b"},"manifests":[{"annotations":{"io.containerd.image.name":"evil"},"size":123456789}],"Manifests":[]}`, `{"manifests":[{"size":123456789}]}`},
		"no list":     {"manifest.json", `"evil"`, ""},
		"another way": {"./manifest.json", `[]`, ""},
		"below":       {"d/manifest.json", `[]`, ""},
	} {
		var in, out bytes.Buffer
		w := tar.NewWriter(&in)
		for _, f := range [][2]string{{"repositories", "evil"}, {tt.path, tt.body}} {
			if err := w.WriteHeader(&tar.Header{Name: f[0], Size: int64(len(f[1])), Mode: 0o600}); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(w, f[1]); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		err := withoutNames(&out, &in, &gauge{room: -1})
		if tt.want == "" {
			if err == nil {
				t.Errorf("%s: passed", name)
			}
			continue
		}
		r := tar.NewReader(&out)
		h, errNext := r.Next()
		got, errRead := io.ReadAll(r)
		if err != nil || errNext != nil || errRead != nil || h.Name != tt.path || string(got) != tt.want {
			t.Errorf("%s: got %s, %v; want %s", name, got, errors.Join(err, errNext, errRead), tt.want)
		}
	}
}
