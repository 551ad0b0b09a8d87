package doctor

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"
)

const (
	// littleSpace is less than the store may need when it is written anew.
	littleSpace = 256 << 20
	noSpace     = 16 << 20
)

// checkStore looks at the file of the controller's records, and at where it is.
func checkStore(_ context.Context, v *visit) {
	if v.controller == nil {
		v.warn("nicferry config check "+v.ControllerConfig, "not looked at: the config does not say where it is")
		return
	}
	store := v.controller.Store
	if v.controller.Etcd != nil {
		v.ok("the records are in etcd at %s", strings.Join(v.controller.Etcd.Endpoints, ", "))
		return
	}
	info, err := os.Stat(v.path(store))
	switch {
	case errors.Is(err, fs.ErrPermission):
		v.warn("run it as root", "cannot look at %s", store)
	case err != nil && v.process("nicferryd"):
		v.fail("journalctl -u nicferryd; systemctl restart nicferryd", "nicferryd runs, and %s is not there: what it records now is lost with its end", store)
	case err != nil:
		v.ok("%s is not there yet: nicferryd makes it", store)
	case !info.Mode().IsRegular():
		v.fail("name another file as store: in "+v.ControllerConfig, "%s is no file", store)
	case v.enabled("nicferryd.service") && v.owner(info) == "root" && v.hasAccount("nicferry"):
		v.fail("chown nicferry: "+store, "%s belongs to root, and nicferryd runs as nicferry: it cannot open it", store)
	}
	if err != nil && !v.exists(path.Dir(store)) {
		v.warn(fixRemedy+", or: install -d -m 700 "+path.Dir(store), "%s, the store's directory, is not there", path.Dir(store))
		return
	}
	v.checkFileSystem(path.Dir(store))
	if v.quiet() {
		v.ok("%s is there", store)
	}
}

// checkFileSystem wants one that keeps what was written, and has room.
func (v *visit) checkFileSystem(dir string) {
	const remedy = "move the store to a local disk: store: in nicferryd.yaml"
	switch kind := v.fileSystem(dir); {
	case kind == "tmpfs" || kind == "ramfs" || kind == "devtmpfs":
		v.fail(remedy, "%s is on %s: all records, and the CA, are lost with the machine's next boot", dir, kind)
	case strings.HasPrefix(kind, "nfs") || kind == "cifs" || kind == "smb3" || kind == "9p" || kind == "ceph" || strings.HasPrefix(kind, "fuse."):
		v.fail(remedy, "%s is on %s: the store's lock and its writes are not safe there", dir, kind)
	case kind == "":
		v.warn("", "cannot look what file system %s is on", dir)
	}
	if v.Kernel == nil {
		return
	}
	free, total, err := v.Kernel.Free(v.path(dir))
	switch {
	case err != nil:
		v.warn("", "cannot look how much of %s's file system is free: %v", dir, err)
	case free < noSpace:
		v.fail("df -h "+dir+"; make room there", "%d MiB of %d are free for the store: no NIC is given out when there are none", free>>20, total>>20)
	case free < littleSpace:
		v.warn("df -h "+dir+"; make room there", "%d MiB of %d are free for the store", free>>20, total>>20)
	}
}

// fileSystem is the kind of the one that a path is on; empty if that is unknown.
func (t tree) fileSystem(name string) string {
	text, _ := t.read("proc/mounts")
	kind, longest := "", -1
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 3 {
			continue
		}
		at := strings.TrimSuffix(unescape.Replace(f[1]), "/")
		if (name == at || strings.HasPrefix(name, at+"/")) && len(at) >= longest { // a later mount hides an earlier
			kind, longest = f[2], len(at)
		}
	}
	return kind
}

// unescape reads the names in /proc/mounts.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
