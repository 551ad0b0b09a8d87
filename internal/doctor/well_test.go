package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/lab/certs"
	"github.com/nicferry/nicferry/internal/mtls"
	"github.com/nicferry/nicferry/nic"
)

// A patient is a machine that is node and controller, and all well, until a test
// harms it.
type patient struct {
	t *testing.T
	Machine
	port    string // of the controller's TLS
	ca      *certs.CA
	version api.Version
	status  api.Status
	nodes   []nic.Node
	late    time.Duration // how far the controller's clock is behind
	silent  bool          // the controller takes calls and says nothing
	refuses string        // why it refuses what comes over TLS, if it does
	free    uint64
	names   map[string]error
}

// LookupHost knows the names that it was told.
func (p *patient) LookupHost(ctx context.Context, host string) ([]string, error) {
	err, ok := p.names[host]
	if !ok {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return []string{"192.0.2.1"}, err
}

// DialContext goes to the loopback alone, whatever the name.
func (p *patient) DialContext(ctx context.Context, _, address string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	return new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", port))
}

const wellFiles = programs + `
-- proc/net/route --
-- proc/self/ns/net --
-- proc/sys/kernel/osrelease --
6.1.0-test
-- proc/sys/kernel/modprobe --
/sbin/modprobe
-- sbin/modprobe --
-- proc/sys/kernel/modules_disabled --
0
-- proc/cmdline --
quiet intel_iommu=on
-- proc/cpuinfo --
vendor_id : GenuineIntel
-- proc/mounts --
/dev/vda1 / ext4 rw 0 0
-- proc/sys/net/ipv4/conf/all/rp_filter --
2
-- proc/sys/net/ipv6/conf/default/disable_ipv6 --
0
-- proc/9/comm --
nicferry-agent
-- proc/77/comm --
nicferryd
-- sys/fs/cgroup/cgroup.controllers --
cpu
-- sys/kernel/iommu_groups/0/type --
DMA
-- sys/bus/virtio/x --
-- sys/module/vfio_pci/x --
-- sys/bus/pci/slots/0-2/address --
0000:02:00
-- sys/bus/pci/devices/0000:03:00.0/sriov_totalvfs --
8
-- sys/bus/pci/devices/0000:03:00.0/sriov_numvfs --
4
-- sys/bus/pci/devices/0000:03:00.0/net/ens3f0/x --
-- sys/class/net/br0/bridge/x --
-- sys/class/net/ovsbr0/x --
-- dev/kvm --
-- lib/modules/6.1.0-test/modules.dep --
kernel/drivers/net/veth.ko:
kernel/drivers/net/macvlan.ko.xz: kernel/x.ko
kernel/net/bridge/bridge.ko.zst:
kernel/net/sched/sch_ingress.ko.xz:
kernel/net/sched/cls_bpf.ko.xz:
kernel/drivers/net/ipvlan/ipvlan.ko.xz:
kernel/net/8021q/8021q.ko.xz:
kernel/drivers/net/virtio_net.ko:
kernel/drivers/net/tun.ko:
kernel/drivers/vhost/vhost_net.ko:
-- usr/lib/x86_64-linux-gnu/libvirt.so.0 --
-- etc/resolv.conf --
nameserver 192.0.2.53
-- etc/nicferry/nicferryd.yaml --
version: 1
listen: {address: "127.0.0.1:PORT"}
providers: [{name: vms, kind: libvirt}]
networks:
  - {name: lan, provider: vms, addressing: dhcp, port: {bridge: br0}}
  - {name: sw, provider: vms, addressing: dhcp, port: {ovs: ovsbr0}}
-- etc/nicferry/agent.yaml --
version: 1
node: n1
controllers: [https://nf.test:PORT]
tls: {ca: /etc/nicferry/tls/ca.pem, cert: /etc/nicferry/tls/agent.pem, key: /etc/nicferry/tls/agent.key}
`

// newPatient is one; change may harm its fields before its daemons serve.
func newPatient(t *testing.T, change func(p *patient)) *patient {
	t.Helper()
	p := &patient{
		t: t, names: map[string]error{"nf.test": nil}, version: api.Version{Version: "v1.4.0"},
		nodes: []nic.Node{{Name: "n1", Phase: nic.NodeReady, LastSeen: time.Now(), Inventory: nic.Inventory{AgentVersion: "v1.3.1"}}},
	}
	if change != nil {
		change(p)
	}
	ca, err := certs.New(filepath.Join(t.TempDir(), "ca"))
	must(t, err)
	p.ca = ca
	server, err := ca.Server("127.0.0.1", "nf.test")
	must(t, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	_, p.port, _ = net.SplitHostPort(ln.Addr().String())
	port, err := mtls.Listen(ln, mtls.Files{CA: server.CA, Cert: server.Cert, Key: server.Key}, slog.New(slog.DiscardHandler))
	must(t, err)
	srv := &http.Server{Handler: p, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	done := make(chan struct{})
	go func() { defer close(done); srv.Serve(port) }()
	t.Cleanup(func() { srv.Close(); port.Close(); <-done })
	p.lay()
	p.patience = time.Minute // a busy machine is none that does not answer
	serve(t, p.path("run/nicferry/nicferryd.sock"), p.ServeHTTP)
	serve(t, p.path("run/libvirt/libvirt-sock"), p.ServeHTTP)
	serve(t, p.path("run/openvswitch/db.sock"), p.ServeHTTP)
	for name, mode := range map[string]fs.FileMode{
		"run/nicferry": 0o775, "run/nicferry/nicferryd.sock": 0o660, "run/libvirt/libvirt-sock": 0o660, "run/nicferry/agent": 0o700,
		"var/lib/nicferry": 0o700, "var/lib/nicferry/nicferry.db": 0o600, "etc/nicferry": 0o755, "etc/nicferry/agent.yaml": 0o644, "etc/nicferry/nicferryd.yaml": 0o644,
	} {
		p.chmod(name, mode)
	}
	return p
}

// ServeHTTP is the controller.
func (p *patient) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p.silent {
		<-r.Context().Done()
		return
	}
	w.Header().Set("Date", time.Now().Add(-p.late).UTC().Format(http.TimeFormat))
	if p.refuses != "" && r.TLS != nil {
		w.WriteHeader(http.StatusForbidden)
		json.NewEncoder(w).Encode(api.Error{Code: api.CodeRefused, Message: p.refuses})
		return
	}
	answers := map[string]any{"/v1/version": p.version, "/v1/status": p.status, "/v1/nodes": api.NewList(p.nodes, "")}
	for _, n := range p.nodes {
		answers["/v1/nodes/"+n.Name] = n
	}
	if answers[r.URL.Path] == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	json.NewEncoder(w).Encode(answers[r.URL.Path])
}

// lay lays the files out.
func (p *patient) lay() {
	t := p.t
	n, err := fmt.Sscanf(p.port, "%d", new(int))
	if n != 1 || err != nil {
		t.Fatal(err)
	}
	p.Machine = newMachine(t, txtar.Parse([]byte(strings.ReplaceAll(wellFiles, "PORT", p.port))))
	p.Network, p.Version = p, "v1.4.2"
	p.Kernel.(*kernel).free = p.free
	for _, d := range must1(tree(p.Root).dropIns())(t) {
		p.put(d.path, string(d.text))
	}
	p.put("etc/cloud/cloud-init.disabled", "")
	p.put("etc/dhcpcd.conf", "allowinterfaces lan0\n")
	p.put("etc/passwd", fmt.Sprintf("root:x:%d:%d::/root:/bin/sh\nnicferry:x:65534:65534::/:/bin/false\n", os.Geteuid(), os.Getegid()))
	p.put("etc/group", fmt.Sprintf("nicferry:x:%d:nicferry\n", os.Getegid()))
	p.put("var/lib/nicferry/nicferry.db", "")
	must(t, os.MkdirAll(p.path("run/nicferry/agent"), 0o700))
	p.listens(p.port, "4242")
	must(t, os.MkdirAll(p.path("proc/77/fd"), 0o755))
	must(t, os.Symlink("socket:[4242]", p.path("proc/77/fd/3")))
	p.pair(must1(p.ca.Node("n1"))(t), "etc/nicferry/tls/ca.pem", "etc/nicferry/tls/agent.pem", "etc/nicferry/tls/agent.key")
}

// listens has somebody listen on a port, by a socket's inode.
func (p *patient) listens(port, inode string) {
	var n int
	fmt.Sscanf(port, "%d", &n)
	old, _ := tree(p.Root).read("proc/net/tcp")
	p.put("proc/net/tcp", old+fmt.Sprintf(" 0: 0100007F:%04X 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 %s 1\n", n, inode))
}

// pair copies a certificate to where the machine has it.
func (p *patient) pair(from certs.Pair, ca, cert, key string) {
	for to, file := range map[string]string{ca: from.CA, cert: from.Cert, key: from.Key} {
		text, err := os.ReadFile(file)
		must(p.t, err)
		p.put(to, string(text))
	}
	p.chmod(key, 0o600)
}

func (p *patient) path(name string) string { return filepath.Join(p.Root, name) }

func (p *patient) put(name, text string) {
	p.t.Helper()
	put(p.t, p.path(name), strings.ReplaceAll(text, "PORT", p.port))
}

func (p *patient) remove(names ...string) {
	for _, name := range names {
		must(p.t, os.RemoveAll(p.path(name)))
	}
}

func (p *patient) chmod(name string, mode fs.FileMode) { must(p.t, os.Chmod(p.path(name), mode)) }

func must1[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		must(t, err)
		return v
	}
}
