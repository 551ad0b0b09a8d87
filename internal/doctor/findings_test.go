package doctor

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/lab/certs"
	"github.com/nicferry/nicferry/nic"
)

// A machine that is well, node and controller, has nothing but good findings, of
// each check.
func TestWell(t *testing.T) {
	t.Parallel()
	found := Examine(t.Context(), newPatient(t, nil).Machine)
	text := render(found)
	if Worst(found) != OK {
		t.Errorf("a machine that is well:\n%s", text)
	}
	for _, c := range append(checks(), controllerChecks()...) {
		if !strings.Contains(text, "OK "+c.name+": ") {
			t.Errorf("nothing said of %s:\n%s", c.name, text)
		}
	}
}

// A kernel that says which interface is a card's is well, as is one of a controller that
// gives its cards to virtual machines.
func TestWellOfTheCards(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]func(p *patient){
		"told": func(p *patient) { p.Kernel = &kernel{nics: []NIC{{Index: 2, Name: "ens3f0", PCI: "0000:03:00.0"}}} },
		"no agent": func(p *patient) {
			p.Kernel = &kernel{nics: []NIC{{Index: 2, Name: "ens3f0"}}}
			p.remove("etc/nicferry/agent.yaml", "proc/9")
		},
	} {
		p := newPatient(t, nil)
		do(p)
		for _, f := range Examine(t.Context(), p.Machine) {
			if f.Check == "sr-iov" && f.State != OK {
				t.Errorf("%s: %+v", name, f)
			}
		}
	}
}

// A harm is one thing that is amiss, and what the doctor says of it.
type harm struct {
	before func(p *patient) // its daemons serve
	do     func(p *patient)
	want   string // a finding, and in it the command that mends it
	remedy string
}

// try harms a machine that is well, and wants that found and nothing else.
func (h harm) try(t *testing.T) {
	t.Parallel()
	p := newPatient(t, h.before)
	if h.do != nil {
		h.do(p)
	}
	found := Examine(t.Context(), p.Machine)
	for _, f := range found {
		if line := fmt.Sprintf("%s %s: %s", f.State, f.Check, f.Says); strings.Contains(line, h.want) {
			if !strings.Contains(f.Remedy, h.remedy) {
				t.Errorf("the remedy is %q, want %q in it", f.Remedy, h.remedy)
			}
			return
		}
	}
	t.Errorf("want %q among:\n%s", h.want, render(found))
}

// withCards has agent.yaml list cards, on a machine that systemd has booted.
func withCards(cards string) func(p *patient) {
	return func(p *patient) {
		p.put("run/systemd/system/x", "")
		p.put("etc/nicferry/agent.yaml", p.text("etc/nicferry/agent.yaml")+"sriov: {cards: ["+cards+"]}\n")
	}
}

// S0-1: cards, their VFs, and the IOMMU.
func TestHarmOfTheCards(t *testing.T) {
	t.Parallel()
	const card = "sys/bus/pci/devices/0000:03:00.0/"
	for name, h := range map[string]harm{
		"no VFs in firmware": {nil, func(p *patient) { p.put(card+"sriov_totalvfs", "0") }, "WARN sr-iov: ens3f0 (0000:03:00.0) knows SR-IOV and may have no", "firmware"},
		"too many VFs":       {nil, func(p *patient) { p.put(card+"sriov_numvfs", "9") }, "says that it has 9 of 8", "echo 0 > /sys/bus/pci/devices/0000:03:00.0/sriov_numvfs"},
		"no VFs yet":         {nil, func(p *patient) { p.put(card+"sriov_numvfs", "0") }, "OK sr-iov: ens3f0 (0000:03:00.0) may have 8 virtual functions and has none", ""},
		"a disk with VFs": {
			nil, func(p *patient) {
				for _, file := range []string{"class", "sriov_totalvfs", "sriov_numvfs"} {
					p.put("sys/bus/pci/devices/0000:09:00.0/"+file, map[string]string{"class": "0x010802"}[file]+"0")
				}
				p.remove(card)
			}, "OK sr-iov: no card with SR-IOV", "",
		},
		"too few VFs": {
			nil, withCards("{pf: ens3f0, vfs: 63}"), // which has no more than 8
			"WARN sr-iov: ens3f0 is to have 8 virtual functions by agent.yaml, and has 4", "nicferry-agent sriov enable --config /etc/nicferry/agent.yaml",
		},
		"a card that is not there": {
			nil, withCards("{pf: 0000:03:00.0, vfs: 4}, {pf: ens9f0}"), "WARN sr-iov: agent.yaml lists the card ens9f0, and there is none", "nicferry-agent sriov list",
		},
		"VFs until the next boot": {
			nil, withCards("{pf: ens3f0, vfs: 4}"), "WARN sr-iov: the next boot takes all virtual functions away", "systemctl enable nicferry-sriov.service",
		},
		"VFs that are made at boot": {
			nil, func(p *patient) {
				withCards("{pf: ens3f0, vfs: 4}")(p)
				p.put("etc/systemd/system/multi-user.target.wants/nicferry-sriov.service", "")
			}, "OK sr-iov: ens3f0 (0000:03:00.0) has 4 of 8", "",
		},
		"a kernel before 5.14": {
			nil, func(p *patient) { p.Kernel = &kernel{nics: []NIC{{Index: 2, Name: "ens3f0"}}} },
			"WARN sr-iov: kernel 6.1.0-test does not say which interface is a card's: containers get no virtual function of ens3f0 (0000:03:00.0)", "Linux 5.14 or newer",
		},
		"no bonds": {
			nil, withCards("{pf: ens3f0}, {pf: ens4f0}"), "WARN modules: bonding is not among the modules", "modules",
		},
		"no vfio for programs": {
			nil, func(p *patient) {
				p.remove("sys/module/vfio_pci", "dev/kvm")
				p.put("etc/nicferry/nicferryd.yaml", "version: 1\nproviders: [{name: cards, kind: sriov}]\n"+
					"networks: [{name: fast, provider: cards, addressing: ipam, subnets: [{prefix: 10.0.0.0/24}], sriov: {pfs: [ens3f0], mode: vfio}}]\n")
			}, "WARN iommu: vfio-pci is not loaded: networks with mode: vfio", "/etc/modules-load.d",
		},
		"an IOMMU":           {nil, func(p *patient) { p.put("sys/class/iommu/dmar0/x", "") }, "OK iommu: 1 IOMMU groups of dmar0", ""},
		"VFs without driver": {nil, func(p *patient) { p.put(card+"sriov_drivers_autoprobe", "0") }, "gives its virtual functions no driver", "echo 1 >"},
		"no IOMMU though asked": {
			nil, func(p *patient) { p.remove("sys/kernel/iommu_groups/0") },
			"WARN iommu: the kernel's command line asks for the IOMMU, and there is none", "VT-d",
		},
		"IOMMU off": {
			nil, func(p *patient) { p.remove("sys/kernel/iommu_groups/0"); p.put("proc/cmdline", "quiet") },
			"WARN iommu: the IOMMU is off", "intel_iommu=on iommu=pt",
		},
		"no vfio": {nil, func(p *patient) { p.remove("sys/module/vfio_pci") }, "WARN iommu: vfio-pci is not loaded", "modprobe vfio-pci"},
	} {
		t.Run(name, h.try)
	}
}

func TestHarmOfTheMachine(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]harm{
		"a firewall on our bridge": {
			nil, func(p *patient) {
				p.put("sys/class/net/nf-lab/ifalias", bridgeAlias)
				p.put("proc/sys/net/bridge/bridge-nf-call-iptables", "1")
				p.Kernel = &kernel{nics: []NIC{{Index: 9, Name: "nf-lab", Kind: "bridge", Up: true}}}
			},
			"WARN sysctl: net.bridge.bridge-nf-call-iptables is 1", "iptables -I DOCKER-USER -i nf-lab -o nf-lab -j ACCEPT",
		},
		"no modprobe": {nil, func(p *patient) { p.put("proc/sys/kernel/modprobe", "\n") }, "WARN modules: macvlan is not loaded, and nobody here loads it", "nicferry doctor --fix, which runs: modprobe macvlan"},
		"cut-down kernel": {nil, func(p *patient) {
			p.put("lib/modules/6.1.0-test/modules.dep", "")
			p.put("etc/os-release", "ID=debian\n")
		}, "WARN modules: veth is not among the modules", "apt-get install linux-image-amd64"},
		"no filters": {nil, func(p *patient) { p.Kernel = &kernel{lack: filtering} }, "FAIL kernel: kernel 6.1.0-test has no filters on what a NIC sends: no NIC comes into a container", "modprobe sch_ingress cls_bpf"},
		"no policy routing": {
			nil, func(p *patient) { p.Kernel = &kernel{lack: policyRouting} },
			"WARN kernel: kernel 6.1.0-test has no policy routing: containers with several NICs", "CONFIG_IP_MULTIPLE_TABLES",
		},
		"no ipvlan on EC2": {nil, func(p *patient) {
			p.put("sys/class/dmi/id/sys_vendor", "Amazon EC2\n")
			p.Kernel = &kernel{lack: "ipvlan"}
		}, "WARN kernel: kernel 6.1.0-test has no ipvlan: containers cannot share an interface", "modprobe ipvlan"},
		"no module of ipvlan on EC2": {nil, func(p *patient) {
			p.put("sys/class/dmi/id/sys_vendor", "Amazon EC2\n")
			p.put("etc/os-release", "ID=ubuntu\n")
			modules, _ := tree(p.Root).read("lib/modules/6.1.0-test/modules.dep")
			p.put("lib/modules/6.1.0-test/modules.dep", strings.ReplaceAll(modules, "/ipvlan.ko", "/other.ko"))
		}, "WARN modules: ipvlan is not among the modules", "linux-modules-extra"},
		"no module of VLANs on ECS": {nil, func(p *patient) {
			p.put("sys/class/dmi/id/sys_vendor", "Alibaba Cloud\n")
			modules, _ := tree(p.Root).read("lib/modules/6.1.0-test/modules.dep")
			p.put("lib/modules/6.1.0-test/modules.dep", strings.ReplaceAll(modules, "/8021q.ko", "/other.ko"))
		}, "WARN modules: 8021q is not among the modules", "further modules"},
		"no more modules":  {nil, func(p *patient) { p.put("proc/sys/kernel/modules_disabled", "1") }, "the kernel takes no more modules", "/etc/modules-load.d/nicferry.conf"},
		"forbidden module": {nil, func(p *patient) { p.put("etc/modprobe.d/cis.conf", "install virtio-net /bin/true\n") }, "virtio_net may not be loaded, by /etc/modprobe.d/cis.conf", "modprobe virtio_net"},
		"no ACPI":          {nil, func(p *patient) { p.put("proc/cmdline", "acpi=off") }, "FAIL hotplug: acpi=off is on the kernel's", "boot without acpi=off"},
		"old Docker": {nil, func(p *patient) {
			p.remove("run/docker.sock")
			serveDocker(p.t, p.path("run/docker.sock"), `{"Version":"18.09.1","ApiVersion":"1.39"}`, `{}`)
		}, "FAIL docker: Docker 18.09.1 speaks API 1.39; nicferry needs 1.40", "install Docker"},
		"rootless Docker": {nil, func(p *patient) {
			p.remove("run/docker.sock")
			serveDocker(p.t, p.path("run/docker.sock"), `{"ApiVersion":"1.43"}`, `{"SecurityOptions":["name=rootless"]}`)
		}, "is rootless", "rootful"},
		"other engine": {nil, func(p *patient) {
			p.remove("run/docker.sock")
			serveDocker(p.t, p.path("run/docker.sock"), `[]`, ``)
		}, "FAIL docker: /run/docker.sock takes calls, and: what answers is not the Docker daemon", "journalctl -u docker"},
		"Docker hangs": {nil, func(p *patient) { hurry(p); p.remove("run/docker.sock"); mute(p.t, p.path("run/docker.sock")) }, "the Docker daemon does not answer within 300ms", "systemctl restart docker"},
		"no Docker":    {nil, func(p *patient) { p.remove("run/docker.sock") }, "FAIL docker: no Docker socket", "install"},
		"dead Docker":  {nil, func(p *patient) { p.remove("run/docker.sock"); dead(p.t, p.path("run/docker.sock")) }, "FAIL docker: nobody answers", "systemctl start docker"},
	} {
		t.Run(name, h.try)
	}
}

// hurry is for those who get no answer.
func hurry(p *patient) { p.patience = 300 * time.Millisecond }

// mute takes calls and answers nothing.
func mute(t *testing.T, socket string) {
	ln, err := net.Listen("unix", socket)
	must(t, err)
	t.Cleanup(func() { ln.Close() })
}

// dead leaves a socket whose daemon is gone.
func dead(t *testing.T, socket string) {
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	must(t, err)
	ln.SetUnlinkOnClose(false)
	ln.Close()
}

func TestHarmOfTheAgent(t *testing.T) {
	t.Parallel()
	const key, cert = "etc/nicferry/tls/agent.key", "etc/nicferry/tls/agent.pem"
	expired := func(p *patient) {
		pair, err := p.ca.Issue(certs.Leaf{File: "old", CommonName: "n1", NotAfter: time.Now().Add(-time.Minute)})
		must(p.t, err)
		p.pair(pair, "etc/nicferry/tls/ca.pem", cert, key)
	}
	for name, h := range map[string]harm{
		"faulty config": {nil, func(p *patient) { p.put("etc/nicferry/agent.yaml", "version: 1\nnod: x\n") }, `FAIL config: /etc/nicferry/agent.yaml:2: nod`, "nicferry config check --agent"},
		"no moves":      {nil, func(p *patient) { p.join() }, "OK moves: the agent takes no orders", ""},
		"moves":         {nil, func(p *patient) { p.join(); p.put("etc/nicferry/agent.yaml", "version: 1\nmoves: true\n") }, "OK moves: the agent takes orders: containers can be moved", ""},
		"config is a pipe": {
			nil, func(p *patient) {
				p.remove("etc/nicferry/agent.yaml")
				must(p.t, syscall.Mkfifo(p.path("etc/nicferry/agent.yaml"), 0o644))
			},
			"FAIL config: /etc/nicferry/agent.yaml is no file", "put a file there",
		},
		"no such name": {
			func(p *patient) { p.names["nf.test"] = &net.DNSError{IsNotFound: true, Err: "no such host"} }, nil,
			"FAIL dns: no address for nf.test", "getent ahosts nf.test",
		},
		"DNS is silent":   {func(p *patient) { delete(p.names, "nf.test") }, hurry, "FAIL dns: nf.test, the controller's name, does not resolve: no answer of DNS within 300ms", "resolv.conf"},
		"no resolv.conf":  {nil, func(p *patient) { p.remove("etc/resolv.conf") }, "WARN dns: /etc/resolv.conf cannot be read", "ls -lL"},
		"no server":       {nil, func(p *patient) { p.put("etc/resolv.conf", "search x\n") }, "WARN dns: /etc/resolv.conf names no server", "echo nameserver"},
		"open key":        {nil, func(p *patient) { p.chmod(key, 0o644) }, "FAIL permissions: /etc/nicferry/tls/agent.key (mode 0644) is open to others", "chmod 0640 /etc/nicferry/tls/agent.key"},
		"open config":     {nil, func(p *patient) { p.chmod("etc/nicferry/agent.yaml", 0o666) }, "FAIL permissions: /etc/nicferry/agent.yaml (mode 0666)", "chmod 0644"},
		"open run dir":    {nil, func(p *patient) { p.chmod("run/nicferry/agent", 0o755) }, "FAIL permissions: /run/nicferry/agent (mode 0755)", "chmod 0700"},
		"another's":       {nil, func(p *patient) { p.put("etc/passwd", fmt.Sprintf("mallory:x:%d:0::\n", os.Geteuid())) }, "FAIL permissions: /etc/nicferry/agent.yaml belongs to mallory", "chown root: /etc/nicferry/agent.yaml"},
		"no key":          {nil, func(p *patient) { p.remove(key) }, "FAIL certificates: /etc/nicferry/tls/agent.key is not there", "made anew"},
		"nonsense":        {nil, func(p *patient) { p.put(cert, "x") }, "FAIL certificates: /etc/nicferry/tls/agent.pem holds no certificate", "made anew"},
		"key of another":  {nil, func(p *patient) { p.pair(must1(p.ca.Node("n2"))(p.t), "x", "y", key) }, "is not the key of", "made anew"},
		"CA of another":   {nil, func(p *patient) { p.put("etc/nicferry/tls/ca.pem", otherCA(p.t)) }, "is not signed by /etc/nicferry/tls/ca.pem", "made anew"},
		"expired":         {nil, expired, "FAIL certificates: the certificate ended at", "made anew"},
		"not yet":         {nil, func(p *patient) { p.Now = func() time.Time { return time.Now().Add(-48 * time.Hour) } }, "FAIL certificates: the certificate is good from", "timedatectl"},
		"ends soon":       {nil, func(p *patient) { p.Now = func() time.Time { return time.Now().Add(20 * 24 * time.Hour) } }, "WARN certificates: the certificate ends at", "made anew"},
		"joined, renewed": {nil, func(p *patient) { p.join() }, "OK certificates: the agent's certificate, of n1, is good until", ""},
		"joined, late": {
			nil, func(p *patient) { p.join(); p.Now = func() time.Time { return time.Now().Add(29 * 24 * time.Hour) } },
			"WARN certificates: the certificate ends at", "journalctl -u nicferry-agent",
		},
		"joined, just expired": {
			nil, func(p *patient) { p.join(); p.Now = func() time.Time { return time.Now().Add(31 * 24 * time.Hour) } },
			"FAIL certificates: the certificate ended", "systemctl restart nicferry-agent",
		},
		"joined, expired": {
			nil, func(p *patient) { p.join(); p.Now = func() time.Time { return time.Now().Add(99 * 24 * time.Hour) } },
			"FAIL certificates: the certificate ended", "nicferry token create --node n1 at the controller, and here: nicferry-agent join --force",
		},
		"joined, open": {nil, func(p *patient) { p.join(); p.chmod("var/lib/nicferry/agent", 0o755) }, "FAIL permissions: /var/lib/nicferry/agent (mode 0755)", "chmod 0700"},
		"clocks apart": {func(p *patient) { p.late = time.Hour }, nil, "WARN controller: this machine's clock is 1h0m", "timedatectl set-ntp true"},
		"versions":     {nil, func(p *patient) { p.Version = "v1.2.9" }, "WARN controller: the controller is v1.4.0 and this program v1.2.9", "install the same"},
		"revoked":      {func(p *patient) { p.refuses = "revoked at noon" }, nil, "refuses the agent: revoked at noon", "journalctl -u nicferryd"},
		"joined, another controller": {
			nil, func(p *patient) { p.join(); p.put("var/lib/nicferry/agent/ca.pem", otherCA(p.t)) },
			"FAIL controller: https://nf.test:", "nicferry-agent join --force",
		},
		"joined, revoked": {
			func(p *patient) { p.refuses = "revoked at noon" }, func(p *patient) { p.join() },
			"refuses the agent: revoked at noon", "nicferry-agent join --force",
		},
		"silence": {func(p *patient) { p.silent = true }, hurry, "the controller does not answer within 300ms", "containers keep their NICs"},
		"refused": {nil, func(p *patient) {
			p.put("etc/nicferry/agent.yaml", "version: 1\nnode: n1\ncontrollers: [unix:///run/gone.sock]\n")
		}, "WARN controller: unix:///run/gone.sock: nobody answers", "systemctl status nicferryd"},
		"unknown node": {nil, func(p *patient) { p.put("etc/nicferry/agent.yaml", "version: 1\nnode: n7\n") }, `has never heard of node "n7"`, "systemctl start nicferry-agent"},
		"old word": {func(p *patient) { p.nodes[0].LastSeen = time.Now().Add(-time.Hour) }, func(p *patient) {
			p.put("etc/nicferry/agent.yaml", "version: 1\nnode: n1\n")
		}, `last heard of node "n1" 1h0m`, "journalctl -u nicferry-agent"},
		"taken port": {nil, func(p *patient) {
			p.listens("7462", "9")
			p.put("proc/50/comm", "node_exporter")
			must(p.t, os.MkdirAll(p.path("proc/50/fd"), 0o755))
			must(p.t, os.Symlink("socket:[9]", p.path("proc/50/fd/4")))
		}, `FAIL ports: port 7462, which nicferry-agent wants for its metrics, is taken by "node_exporter"`, "ss -ltnp 'sport = :7462'"},
		"no agent": {nil, func(p *patient) { p.remove("proc/9") }, "FAIL agent: nicferry-agent does not run", "systemctl start nicferry-agent"},
	} {
		t.Run(name, h.try)
	}
}

// join has the agent go by what it was given when it joined.
func (p *patient) join() {
	const dir = "var/lib/nicferry/agent/"
	p.put("etc/nicferry/agent.yaml", "version: 1\n")
	p.put(dir+"identity.json", `{"node":"n1","controllers":["https://nf.test:PORT"]}`)
	p.pair(must1(p.ca.Node("n1"))(p.t), dir+"ca.pem", dir+"cert.pem", dir+"key.pem")
	p.chmod(dir, 0o700)
}

func TestHarmOfTheController(t *testing.T) {
	t.Parallel()
	const config = "etc/nicferry/nicferryd.yaml"
	for name, h := range map[string]harm{
		"faulty config":  {nil, func(p *patient) { p.put(config, "version: 1\n") }, "FAIL nicferryd: /etc/nicferry/nicferryd.yaml:1: providers: is missing", "nicferry config check"},
		"not running":    {nil, func(p *patient) { p.remove("proc/77") }, "FAIL nicferryd: nicferryd does not run", "systemctl start nicferryd"},
		"no store":       {nil, func(p *patient) { p.remove("var/lib/nicferry/nicferry.db") }, "FAIL store: nicferryd runs, and", "systemctl restart nicferryd"},
		"no directory":   {nil, func(p *patient) { p.remove("var/lib/nicferry", "proc/77") }, "WARN store: /var/lib/nicferry, the store's directory", "install -d -m 700 /var/lib/nicferry"},
		"open store":     {nil, func(p *patient) { p.chmod("var/lib/nicferry/nicferry.db", 0o640) }, "FAIL permissions: /var/lib/nicferry/nicferry.db (mode 0640)", "chmod 0600"},
		"root's store":   {nil, func(p *patient) { p.put("etc/systemd/system/multi-user.target.wants/nicferryd.service", "") }, "FAIL store: /var/lib/nicferry/nicferry.db belongs to root", "chown nicferry: /var/lib/nicferry/nicferry.db"},
		"on tmpfs":       {nil, func(p *patient) { p.put("proc/mounts", "/dev/x / ext4 rw\ntmpfs /var/lib tmpfs rw\n") }, "FAIL store: /var/lib/nicferry is on tmpfs", "local disk"},
		"on NFS":         {nil, func(p *patient) { p.put("proc/mounts", "h:/ / nfs4 rw\n") }, "FAIL store: /var/lib/nicferry is on nfs4", "local disk"},
		"mounts unread":  {nil, func(p *patient) { p.remove("proc/mounts") }, "WARN store: cannot look what file system", ""},
		"little space":   {func(p *patient) { p.free = 100 << 20 }, nil, "WARN store: 100 MiB of 1048576 are free", "df -h /var/lib/nicferry"},
		"no space":       {func(p *patient) { p.free = 1 << 20 }, nil, "FAIL store: 1 MiB", "df -h /var/lib/nicferry"},
		"no group":       {nil, func(p *patient) { p.put("etc/group", "") }, "WARN socket: no group nicferry", "groupadd --system nicferry"},
		"no such group":  {nil, func(p *patient) { p.put(config, "version: 1\nsocketGroup: ops\nproviders: [{name: l, kind: local}]\n") }, "FAIL socket: no group ops, which socketGroup names", "groupadd --system ops"},
		"no socket":      {nil, func(p *patient) { p.remove("run/nicferry/nicferryd.sock") }, "FAIL socket: nicferryd runs, and its socket", "systemctl restart nicferryd"},
		"a file":         {nil, func(p *patient) { p.remove("run/nicferry/nicferryd.sock"); p.put("run/nicferry/nicferryd.sock", "") }, "FAIL socket: /run/nicferry/nicferryd.sock is no socket", "rm /run/nicferry/nicferryd.sock"},
		"open socket":    {nil, func(p *patient) { p.chmod("run/nicferry/nicferryd.sock", 0o666) }, "FAIL permissions: /run/nicferry/nicferryd.sock (mode 0666)", "chmod 0660"},
		"nobody listens": {nil, func(p *patient) { p.put("proc/net/tcp", "") }, "FAIL listen: nicferryd runs, and nobody listens on port", "journalctl -u nicferryd"},
		"no proc":        {nil, func(p *patient) { p.remove("proc/net/tcp") }, "WARN listen: cannot look who has port", "mount -t proc"},
		"not in certificate": {
			nil, func(p *patient) { p.put(config, strings.Replace(p.text(config), `"}`, `", names: [other.test]}`, 1)) },
			"FAIL listen: the controller's certificate is not made out for other.test", "listen.names",
		},
		"server expired": {nil, func(p *patient) { p.Now = func() time.Time { return time.Now().Add(99 * 24 * time.Hour) } }, "FAIL listen: the controller's certificate ended at", "systemctl restart nicferryd"},
		"no libvirt.so":  {nil, func(p *patient) { p.remove("usr/lib/x86_64-linux-gnu/libvirt.so.0") }, "FAIL providers: libvirt.so.0", "apt-get install libvirt0"},
		"no libvirtd":    {nil, func(p *patient) { p.remove("run/libvirt/libvirt-sock") }, "FAIL providers: no libvirt serves qemu:///system", "systemctl start libvirtd"},
		"closed libvirt": {nil, func(p *patient) { p.chmod("run/libvirt/libvirt-sock", 0o600) }, "WARN providers: /run/libvirt/libvirt-sock is for group", "usermod -aG libvirt nicferry"},
		"no KVM":         {nil, func(p *patient) { p.remove("dev/kvm") }, "WARN providers: /dev/kvm is not there", "modprobe kvm_intel"},
		"no bridge":      {nil, func(p *patient) { p.remove("sys/class/net/br0") }, "FAIL switches: network lan: no bridge br0", "ip link add br0 type bridge"},
		"no OVS":         {nil, func(p *patient) { p.remove("run/openvswitch") }, "FAIL switches: network sw: no Open vSwitch runs", "apt-get install openvswitch-switch"},
		"no OVS bridge":  {nil, func(p *patient) { p.remove("sys/class/net/ovsbr0") }, "FAIL switches: network sw: no Open vSwitch bridge ovsbr0", "ovs-vsctl add-br ovsbr0"},
		"degraded": {func(p *patient) {
			p.status.Conditions = []nic.Condition{{Reason: nic.ReasonStoreUnreachable, Message: "disk full", Since: time.Now().Add(-time.Minute)}}
		}, func(p *patient) {
			at := p.status.Conditions[0].Since.Add(time.Minute)
			p.Now = func() time.Time { return at }
		}, "WARN status: StoreUnreachable for 1m0s: disk full", "nicferry status"},
		"hangs":       {func(p *patient) { p.silent = true }, hurry, "WARN status: not asked: nicferryd does not answer within 300ms", "journalctl -u nicferryd"},
		"silent node": {func(p *patient) { p.nodes[0].Phase = nic.NodeSilent }, nil, "WARN nodes: node n1 has been silent", "nicferry node forget n1 --yes"},
		"lost node":   {func(p *patient) { p.nodes[0].Phase = nic.NodeLost }, nil, "WARN nodes: node n1 was given up", "nicferry describe nodes n1"},
		"old agent":   {func(p *patient) { p.nodes[0].Inventory.AgentVersion = "v1.1.0" }, nil, "WARN nodes: the controller is v1.4.2 and the agent of n1 v1.1.0", "same version"},
		"alone":       {nil, func(p *patient) { p.remove("etc/nicferry/agent.yaml", "proc/9") }, "OK agent: no agent on this machine", ""},
	} {
		t.Run(name, h.try)
	}
}

func (p *patient) text(name string) string {
	text, err := os.ReadFile(p.path(name))
	must(p.t, err)
	return string(text)
}

func otherCA(t *testing.T) string {
	other := must1(certs.New(filepath.Join(t.TempDir(), "other")))(t)
	text, err := os.ReadFile(must1(other.Node("n1"))(t).CA)
	must(t, err)
	return string(text)
}
