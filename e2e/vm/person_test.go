//go:build linux

package vm

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/lab/accel"
	"github.com/nicferry/nicferry/internal/lab/guest"
	"github.com/nicferry/nicferry/internal/lab/guest/protocol"
	"github.com/nicferry/nicferry/internal/lab/hyper"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
)

// personDir is where, in a home, the host of a person is.
func personDir(home string) string { return filepath.Join(home, "person") }

// stopPerson takes away the host of a person in a home, if there is one.
func stopPerson(home string) error { return hyper.Stop(context.Background(), personDir(home)) }

// A person has what examples/libvirt-lab takes for granted: a libvirt host, and
// on its network "default" a VM with Docker, who lets root in by ssh.
type person struct {
	t       *testing.T
	host    *hyper.Host
	vm      *guest.Client
	clone   string // on the host, a clone after make build
	boot    string // of the VM that was made ready last
	key     string // who may log in
	machine string // what the machine itself has where the example writes
}

// defaultNetwork is what distributions ship.
const defaultNetwork = `<network>
  <name>default</name>
  <bridge name='virbr0'/>
  <forward/>
  <ip address='192.168.122.1' netmask='255.255.255.0'><dhcp><range start='192.168.122.2' end='192.168.122.254'/></dhcp></ip>
</network>
`

var vm1Addr = netip.MustParsePrefix("192.168.122.11/24")

// settings is how the host's root uses ssh. The VM is nobody's known host yet.
const settings = "BatchMode yes\nStrictHostKeyChecking accept-new\nConnectTimeout 20\n"

func newPerson(t *testing.T) *person {
	t.Helper()
	netnstest.RequireRoot(t)
	bin, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	p := &person{t: t, machine: written()}
	dir := personDir(home)
	p.host, err = hyper.Start(t.Context(), hyper.Options{Dir: dir, Private: []string{"/etc", "/root", "/usr/local", "/var/lib", "/var/log"}})
	p.must(err)
	t.Cleanup(func() { p.must(hyper.Stop(context.WithoutCancel(t.Context()), dir)) })
	p.clone = filepath.Join(dir, "clone")
	p.must(os.CopyFS(filepath.Join(p.clone, "examples/libvirt-lab"), os.DirFS(labExample)))
	p.must(os.Symlink(bin, filepath.Join(p.clone, "bin")))
	for name, text := range map[string]string{"default.xml": defaultNetwork, "ssh_config": settings} {
		p.must(os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	p.sh("virsh net-define " + dir + "/default.xml && virsh net-start default")
	p.sh("mkdir -p -m 700 /root/.ssh && cp " + dir + "/ssh_config /root/.ssh/config && ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/nicferry && echo IdentityFile /root/.ssh/nicferry >>/root/.ssh/config")
	p.key = p.sh("cat /root/.ssh/nicferry.pub")
	p.makeVM(filepath.Join(bin, "nicferry-lab"))
	return p
}

// makeVM defines and starts vm1, without a free slot.
func (p *person) makeVM(program string) {
	p.t.Helper()
	image, err := guest.Prepare(p.t.Context(), p.host.Lib(), guest.Options{Program: program})
	p.must(err)
	kind, err := accel.Choose(p.t.Context(), accel.Options{Dir: guest.DefaultDir, Kernel: image.Kernel})
	p.must(err)
	text, err := guest.Domain{
		Image: image,
		Boot: protocol.Boot{
			Hostname: "vm1", MAC: net.HardwareAddr{0x52, 0x54, 0x00, 0x12, 0x34, 0x56}, Addr: vm1Addr, Docker: protocol.DockerOn,
		},
		Type: kind.DomainType(), CPUMode: kind.CPUMode(), MemoryMiB: 1280, CPUs: 1,
		Bridge: "virbr0", Console: p.file("log", "vm1.console.log"),
	}.XML()
	p.must(err)
	p.must(os.WriteFile(p.file("vm1.xml"), []byte(text), 0o600))
	p.sh("virsh define " + p.file("vm1.xml") + " && virsh start vm1")
	ns, err := netns.Open(p.host.NetNS())
	p.must(err)
	p.t.Cleanup(func() { p.must(ns.Close()) })
	p.vm = &guest.Client{Addr: vm1Addr.Addr(), Dial: guest.DialIn(ns)}
	p.must(p.up(p.t.Context()))
}

func (p *person) file(parts ...string) string {
	return filepath.Join(append([]string{p.host.Dir()}, parts...)...)
}

func (p *person) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// sh runs a script on the host and returns what it prints.
func (p *person) sh(script string) string {
	p.t.Helper()
	out, err := p.onHost(p.t.Context(), script)
	if err != nil {
		p.t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return out
}

// rootPath is what root's is on Debian.
const rootPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func (p *person) onHost(ctx context.Context, script string) (string, error) {
	var out bytes.Buffer
	cmd := p.host.Command(ctx, "sh", "-euc", script)
	cmd.Env = append(cmd.Env, rootPath, "HOME=/root")
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

func (p *person) inVM(ctx context.Context, script string) (string, error) {
	var out bytes.Buffer
	cmd := p.vm.Command(ctx, "sh", "-euc", script)
	cmd.Env = []string{rootPath}
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// blockTime bounds a block; the slowest starts a container in a guest that is
// emulated.
const blockTime = 3 * time.Minute

// do carries out one block, exactly as it is written.
func (p *person) do(ctx context.Context, b block) (string, error) {
	if b.where == inVM1 || strings.Contains(b.script, "ssh ") {
		if err := p.ready(ctx); err != nil {
			return "", err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, blockTime)
	defer cancel()
	if b.where == inVM1 {
		return p.inVM(ctx, b.script)
	}
	return p.onHost(ctx, "cd "+filepath.Join(p.clone, "examples/libvirt-lab")+"\n"+b.script)
}

// upTime bounds the VM's boot, and the start of what it has to run.
const upTime = 4 * time.Minute

func (p *person) up(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, upTime)
	defer cancel()
	return p.vm.AwaitUp(ctx)
}

// ready waits until the VM has all that is taken for granted. A guest of ours
// has nothing on a disk, so each boot needs it anew.
func (p *person) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, upTime)
	defer cancel()
	if err := p.up(ctx); err != nil {
		return err
	}
	boot, err := p.vm.Get(ctx, "/proc/sys/kernel/random/boot_id")
	if err != nil || string(boot) == p.boot {
		return err
	}
	for path, text := range map[string]string{"/root/.ssh/authorized_keys": p.key, "/etc/shells": "/bin/bash\n"} {
		if err := p.vm.Put(ctx, path, 0o600, strings.NewReader(text)); err != nil {
			return err
		}
	}
	if out, err := p.inVM(ctx, "mkdir -p /etc/dropbear; chmod 700 /root/.ssh"); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	if _, err := p.vm.Spawn(ctx, "/var/log/dropbear.log", "dropbear", "-F", "-E", "-R", "-s"); err != nil {
		return err
	}
	if _, err := p.vm.AwaitDocker(ctx); err != nil {
		return err
	}
	name, err := p.vm.Image(ctx)
	if err != nil {
		return err
	}
	// As it is called where one can pull it.
	if out, err := p.inVM(ctx, "docker tag "+name+" busybox"); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	p.boot = string(boot)
	return await(ctx, "the VM to let root in by ssh", patience, func(ctx context.Context) error {
		out, err := p.onHost(ctx, "ssh root@"+vm1Addr.Addr().String()+" true")
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
}

// seesNothingLeft demands that the last section of the example leaves nothing
// but the root ports.
func (p *person) seesNothingLeft() {
	p.t.Helper()
	out := p.sh("virsh net-list --all --name; virsh dumpxml vm1; ls /etc/nicferry /var/lib/nicferry /usr/local/bin/nicferry* 2>&1 || true")
	if strings.Count(out, "No such file") != 3 || strings.Contains(out, "nicferry\n\n") || strings.Contains(out, "e2:4e:") {
		p.t.Errorf("the host is left with\n%s", out)
	}
	if n := strings.Count(out, "model='pcie-root-port'"); n != 8 {
		p.t.Errorf("vm1 has %d root ports; want 8", n)
	}
	if found, err := p.host.PIDs("nicferryd"); err != nil || len(found) > 0 {
		p.t.Errorf("nicferryd still runs: %v, %v", found, err)
	}
	out, err := p.inVM(p.t.Context(), "find /etc /usr/local/bin /var/lib -name '*nicferry*'; pidof nicferry-agent || true; docker ps -aq")
	if err != nil || out != "" {
		p.t.Errorf("the VM is left with %v\n%s", err, out)
	}
	if now := written(); now != p.machine {
		p.t.Errorf("the machine itself has\n%s\nand had\n%s", now, p.machine)
	}
}

// written is what the machine itself has where the example writes on its host.
func written() string {
	var b strings.Builder
	for _, name := range []string{"/etc/nicferry", "/var/lib/nicferry", "/var/log/nicferryd.log", "/usr/local/bin/nicferry", "/usr/local/bin/nicferryd", "/root/.ssh/nicferry"} {
		if info, err := os.Lstat(name); err == nil {
			fmt.Fprintln(&b, name, info.Size(), info.ModTime())
		}
	}
	return b.String()
}

// tellLogs shows what explains a failure.
func (p *person) tellLogs() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.t.Context()), patience)
	defer cancel()
	host, _ := p.onHost(ctx, "tail -n 40 /var/log/nicferryd.log; virsh dumpxml vm1 | grep -A6 '<interface'; ip -br addr")
	console, _ := os.ReadFile(p.file("log", "vm1.console.log"))
	p.t.Logf("the host:\n%s\nthe end of vm1's console:\n%s", host, console[max(0, len(console)-2000):])
	if vm, err := p.inVM(ctx, "tail -n 40 /var/log/nicferry-agent.log /var/log/dropbear.log; ip -br addr"); err == nil || vm != "" {
		p.t.Logf("vm1: %v\n%s", err, vm)
	}
}
