//go:build linux

package sriov

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/conf"
	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/cluster"
	"github.com/nicferry/nicferry/internal/lab/dpdk"
)

// makeDPDKImage has the host's engine have it.
func (r *rig) makeDPDKImage() {
	r.t.Helper()
	archive, err := exec.CommandContext(r.t.Context(), "sh", "-ec", dpdk.Pack).Output()
	must(r.t, err)
	load := r.node.Command(r.t.Context(), "docker", "import", "-", dpdk.Image)
	load.Stdin = bytes.NewReader(archive)
	_, err = load.Output()
	must(r.t, err)
}

// drivesVF: a VF goes to a DPDK program in user space, by nicferry run. Without hugepages it
// is refused, and nothing is reserved. With them its driver is vfio-pci, the container has
// its device and no interface, and frames come and go with the claim's MAC. Afterwards the
// VF has its driver again.
func (r *rig) drivesVF() {
	r.makeDPDKImage()
	id := conf.DefaultIdentityDir
	run := fmt.Sprintf(`%[1]s/nicferry --controller https://10.98.0.1:7460 --ca %[2]s/ca.pem --cert %[2]s/cert.pem --key %[2]s/key.pem \
		run --on user --name testpmd --timeout %%s -- -d --cpu-shares 2 -v /dev/hugepages:/dev/hugepages %[3]s sh -c '%[4]s' 2>&1`,
		cluster.GuestBin, id, dpdk.Image, fmt.Sprintf(dpdk.Testpmd, "$NICFERRY_PCI_ETH0"))
	if said := r.sh(run+" || true", "5s"); !strings.Contains(said, "hugepages") {
		r.t.Errorf("without hugepages: %s", said)
	}
	r.remove()
	r.allFree()
	r.giveHugepages()
	r.t.Log(r.sh(run, "1m"))
	v := r.functions("testpmd")[0]
	if driver := r.sh("basename $(readlink /sys/bus/pci/devices/%s/driver)", v.PCI); driver != "vfio-pci" {
		r.t.Errorf("VF %s has driver %s", v.PCI, driver)
	}
	out := r.docker("exec", "testpmd", "sh", "-ec", "cd /dev/vfio; echo *; echo $NICFERRY_PCI_ETH0 $NICFERRY_MAC_ETH0; cd /sys/class/net; echo */")
	group := r.sh("basename $(readlink /sys/bus/pci/devices/%s/iommu_group)", v.PCI)
	if want := fmt.Sprintf("%s vfio\n%s %s\nlo/", group, v.PCI, v.Set.MAC); strings.TrimSpace(out) != want {
		r.t.Errorf("in the container there is\n%s\nwant\n%s", out, want)
	}
	if is := r.settings()[v.PF][v.Index]; is.MAC != v.Set.MAC {
		r.t.Errorf("the PF has %+v of it, want MAC %s", is, v.Set.MAC)
	}
	r.echoes("peer", r.address("testpmd"), v.Set.MAC.String())
	r.remove("testpmd")
	r.unused(v.PCI, "igbvf")
}

// The card that libvirt plugs into the guest for a program in user space.
const (
	virtioMAC  = "52:54:00:51:14:01"
	virtioAddr = "10.77.1.210" // in the LAN, and in no network's range
)

// S1-14: the same on a virtio card that libvirt has plugged into the running guest.
// nicferry hands no such card to programs: what it does for VFs is done by hand.
func TestADPDKProgramDrivesAVirtioCard(t *testing.T) {
	t.Parallel()
	r := up(t)
	r.makeDPDKImage()
	file := filepath.Join(r.t.TempDir(), "card.xml")
	must(r.t, os.WriteFile(file, fmt.Appendf(nil, dpdk.Card, virtioMAC, cluster.LANBridge), 0o600))
	virsh := func(verb string) {
		_, err := r.Host().Run(r.t.Context(), "virsh", "-q", "-c", r.Host().URI(), verb, r.node.Name, file, "--live")
		must(r.t, err)
	}
	r.giveHugepages()
	virsh("attach-device")
	var pci string
	r.until("the guest to have the card", func(context.Context) (err error) {
		pci, err = r.at(virtioMAC)
		return err
	})
	device := "/sys/bus/pci/devices/" + pci
	r.sh(dpdk.Give, pci)
	r.docker("run", "-d", "--name", "testpmd", "--network", "none",
		"--device", "/dev/vfio/vfio", "--device", "/dev/vfio/"+r.sh("basename $(readlink %s/iommu_group)", device),
		"--ulimit", "memlock=-1:-1", "--cpu-shares", "2", "-v", "/dev/hugepages:/dev/hugepages", dpdk.Image, "sh", "-c", fmt.Sprintf(dpdk.Testpmd, pci))
	r.echoes(cluster.LAN, virtioAddr, virtioMAC)
	r.docker("rm", "-f", "testpmd")
	r.sh(dpdk.TakeBack, pci)
	r.until("the card to have its interface again", func(context.Context) error {
		_, err := r.at(virtioMAC)
		return err
	})
	r.unused(pci, "virtio-pci")
	virsh("detach-device")
	r.until("the guest to be without the card", func(ctx context.Context) error {
		return r.node.Command(ctx, "test", "!", "-e", device).Run()
	})
}

// giveHugepages has the host have some, and a place where programs find them.
func (r *rig) giveHugepages() {
	r.t.Helper()
	r.sh(dpdk.GiveHugepages)
}

// at is where on the bus the physical host's card is that has the MAC and an interface.
func (r *rig) at(mac string) (string, error) {
	out, err := r.node.Command(r.t.Context(), "sh", "-ec", "name=$(grep -l "+mac+" /sys/class/net/*/address); path=$(realpath ${name%/address}/device); "+
		`case $path in */virtio*) path=${path%/*};; esac; echo ${path##*/}`).Output()
	return strings.TrimSpace(string(out)), err
}

// echoes waits until container testpmd answers a peer, by ARP from the MAC, and by ping.
func (r *rig) echoes(peer, addr, mac string) {
	r.t.Helper()
	err := lab.Until(r.t.Context(), "testpmd to answer", wait, 0, func(context.Context) error {
		_, err := r.peer(peer, "ping", "-c", "1", "-W", "1", addr)
		return err
	})
	if err != nil {
		there, _ := r.peer(peer, "sh", "-c", "ip addr; ip route")
		r.t.Fatalf("%v\n%s\n%s has\n%s", err, r.docker("logs", "testpmd"), peer, there)
	}
	r.answers(peer, addr, true)
	if out, err := r.peer(peer, "ip", "neigh", "show", addr); err != nil || !strings.Contains(out, mac) {
		r.t.Errorf("on the wire %s is %q, %v; want MAC %s", addr, out, err, mac)
	}
	if pages := r.hugepages(); pages == dpdk.Hugepages {
		r.t.Errorf("all of %s hugepages are free while testpmd runs", pages)
	}
	r.t.Log(r.sh("docker logs testpmd 2>&1 | grep -e 'Probe PCI driver' -e packets: | tail -3"))
}

// hugepages are how many are free on the physical host.
func (r *rig) hugepages() string {
	r.t.Helper()
	return r.sh("cat /sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages")
}

// unused demands that the card has its driver again, and that nobody has its memory.
func (r *rig) unused(pci, driver string) {
	r.t.Helper()
	if is := r.sh("basename $(readlink /sys/bus/pci/devices/%s/driver)", pci); is != driver {
		r.t.Errorf("afterwards %s has driver %s, and had %s", pci, is, driver)
	}
	if pages := r.hugepages(); pages != dpdk.Hugepages {
		r.t.Errorf("%s of %s hugepages are free after testpmd", pages, dpdk.Hugepages)
	}
}
