//go:build linux

package cloud

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim/site"
	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/hyper"
	"github.com/nicferry/nicferry/internal/lab/hyper/hypertest"
)

// domain is a machine without an operating system, which lets go of a card at
// once: nobody in it is asked.
const domain = `<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
<name>vm1</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/></features>
<devices><controller type='pci' model='pcie-root'/><controller type='pci' model='pcie-root-port' index='1'/>
<controller type='usb' model='none'/><memballoon model='none'/></devices>
<qemu:commandline><qemu:arg value='-global'/><qemu:arg value='ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off'/></qemu:commandline>
</domain>`

// A bench is a hypervisor of its own with a running machine.
type bench struct {
	*hyper.Host
	t *testing.T
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{hypertest.New(t, "br0"), t}
	file := filepath.Join(t.TempDir(), "vm1.xml")
	if err := os.WriteFile(file, []byte(domain), 0o600); err != nil {
		t.Fatal(err)
	}
	b.run("virsh", "-c", b.URI(), "define", file)
	b.run("virsh", "-c", b.URI(), "start", "vm1")
	return b
}

func (b *bench) run(name string, args ...string) string {
	b.t.Helper()
	out, err := b.Run(b.t.Context(), name, args...)
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

// until waits for what something says.
func (b *bench) until(what string, is func() bool) {
	b.t.Helper()
	err := lab.Until(b.t.Context(), what, time.Minute, 50*time.Millisecond, func(context.Context) error {
		if !is() {
			return fmt.Errorf("not yet")
		}
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// has says whether vm1 has a card, as virsh sees it.
func (b *bench) has(mac string) bool {
	b.t.Helper()
	return strings.Contains(b.run("virsh", "-c", b.URI(), "dumpxml", "vm1"), mac)
}

// cloud starts the program under a name, and returns what it says of itself.
func (b *bench) cloud(bin, name string) (about site.About) {
	b.t.Helper()
	script := `exec "$@" >` + name + `.json`
	err := b.Launch(b.t.Context(), lab.Program{Name: name, Args: []string{
		"sh", "-c", "cd " + b.Dir() + " && " + script, "sh", filepath.Join(bin, "nicferry-lab"), "cloud",
		"--instances", "0", "--libvirt", b.URI(), "--domain", "vm1", "--bridge", "br0", "-o", "json",
	}})
	if err != nil {
		b.t.Fatal(err)
	}
	b.until("the cloud to serve", func() bool {
		text, err := os.ReadFile(filepath.Join(b.Dir(), name+".json"))
		return err == nil && json.Unmarshal(text, &about) == nil
	})
	return about
}

// aws is Debian's client.
func (b *bench) aws(about site.About, args ...string) string {
	b.t.Helper()
	cmd := b.Command(b.t.Context(), "aws", append([]string{"ec2", "--endpoint-url", about.Endpoint, "--output", "text"}, args...)...)
	cmd.Env = append(cmd.Env, "AWS_ACCESS_KEY_ID="+about.AccessKey, "AWS_SECRET_ACCESS_KEY="+about.SecretKey, "AWS_REGION="+about.Region,
		"AWS_DEFAULT_REGION="+about.Region, "AWS_PAGER=", "AWS_EC2_METADATA_DISABLED=true", "AWS_SESSION_TOKEN=", "AWS_CONFIG_FILE=/dev/null")
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.t.Fatalf("aws %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// labWithLibvirt builds nicferry-lab as users have it.
func labWithLibvirt(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-tags=libvirt,libvirt_dlopen", "-o", dir, "./cmd/nicferry-lab")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build nicferry-lab: %v\n%s", err, out)
	}
	return dir
}

// What Debian's client attaches is in the machine, as virsh sees it, and what it
// detaches is not; what a killed cloud left goes when the next one starts, and what
// is there when one ends goes with it.
func TestTheCloudPlugsIntoMachines(t *testing.T) {
	t.Parallel()
	b, bin := newBench(t), labWithLibvirt(t)
	about := b.cloud(bin, "first")
	id := about.Instances[0].ID
	plugged := func(about site.About) (attachment, mac string) {
		made := strings.Fields(b.aws(about, "create-network-interface", "--subnet-id", about.Subnets[0].ID, "--query", "NetworkInterface.[NetworkInterfaceId,MacAddress]"))
		mac = made[1]
		attachment = b.aws(about, "attach-network-interface", "--network-interface-id", made[0], "--instance-id", id, "--device-index", "1", "--query", "AttachmentId")
		b.until(made[0]+" to be in vm1", func() bool { return b.has(mac) })
		return attachment, mac
	}
	attachment, mac := plugged(about)
	b.aws(about, "detach-network-interface", "--attachment-id", attachment)
	b.until("the card to be out", func() bool { return !b.has(mac) })
	_, mac = plugged(about)
	if err := b.Kill(t.Context(), "nicferry-lab"); err != nil {
		t.Fatal(err)
	}
	if !b.has(mac) {
		t.Error("a killed cloud has unplugged a card")
	}
	about = b.cloud(bin, "second")
	if got := about.Instances[0]; got.ID != id || got.Name != "vm1" || b.has(mac) {
		t.Errorf("the next cloud has vm1 as %+v, and left %s in it: %t", got, mac, b.has(mac))
	}
	_, mac = plugged(about)
	pids, err := b.PIDs("nicferry-lab")
	if err != nil || len(pids) != 1 {
		t.Fatalf("%v, %v", pids, err)
	}
	if err := exec.CommandContext(t.Context(), "kill", "-TERM", fmt.Sprint(pids[0])).Run(); err != nil {
		t.Fatal(err)
	}
	b.until("the cloud to take its cards along", func() bool { return !b.has(mac) })
}
