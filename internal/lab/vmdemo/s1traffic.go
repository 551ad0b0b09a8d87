//go:build linux

package vmdemo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/cluster"
	"github.com/nicferry/nicferry/internal/lab/dpdk"
	"github.com/nicferry/nicferry/internal/lab/traffic"
)

// The card for a program of DPDK's: an address in the LAN, and in no network's range.
const (
	dpdkMAC  = "52:54:00:51:14:02"
	dpdkAddr = "10.77.1.210"
)

// drives plugs a virtio card into vm1, for a program in a container that drives it.
func (s *show) drives(ctx context.Context) (result string, err error) {
	node, err := s.lab.Node(host)
	if err != nil {
		return "", err
	}
	archive, err := exec.CommandContext(ctx, "sh", "-ec", dpdk.Pack).Output()
	if err != nil {
		return "", fmt.Errorf("pack dpdk-testpmd, of Debian's package dpdk-dev: %w", err)
	}
	load := node.Command(ctx, "docker", "import", "-", dpdk.Image)
	load.Stdin = bytes.NewReader(archive)
	if _, err := load.Output(); err != nil {
		return "", err
	}
	file := filepath.Join(s.dir, "dpdk.xml")
	if err := os.WriteFile(file, fmt.Appendf(nil, dpdk.Card, dpdkMAC, cluster.LANBridge), 0o600); err != nil {
		return "", err
	}
	virsh := func(verb string) error {
		_, err := s.lab.Host().Run(ctx, "virsh", s.virsh([]string{verb, host, file, "--live"})...)
		return err
	}
	if err := virsh("attach-device"); err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, virsh("detach-device")) }()
	var pci string
	if err := lab.Until(ctx, "vm1 to have the card", patience, askEvery, func(ctx context.Context) (err error) {
		pci, err = s.sh(ctx, "path=$(realpath $(dirname $(grep -l "+dpdkMAC+" /sys/class/net/*/address))/device); basename ${path%/virtio*}")
		return err
	}); err != nil {
		return "", err
	}
	if _, err := s.sh(ctx, dpdk.GiveHugepages+"; "+fmt.Sprintf(dpdk.Give, pci)); err != nil {
		return "", err
	}
	group, err := s.sh(ctx, "basename $(readlink /sys/bus/pci/devices/"+pci+"/iommu_group)")
	if err != nil {
		return "", err
	}
	if _, err := s.docker(host)(ctx, "run", "-d", "--name", "testpmd", "--network", "none",
		"--device", "/dev/vfio/vfio", "--device", "/dev/vfio/"+group, "--ulimit", "memlock=-1:-1", "--cpu-shares", "2",
		"-v", "/dev/hugepages:/dev/hugepages", dpdk.Image, "sh", "-c", fmt.Sprintf(dpdk.Testpmd, pci)); err != nil {
		return "", err
	}
	err = lab.Until(ctx, "testpmd to answer", patience, askEvery, func(ctx context.Context) error {
		return s.lan(ctx, "ping", "-c", "1", "-W", "1", dpdkAddr).Run()
	})
	if err != nil {
		said, _ := s.docker(host)(ctx, "logs", "--tail", "20", "testpmd")
		err = fmt.Errorf("%w: %s", err, said)
	}
	_, err2 := s.docker(host)(ctx, "rm", "-f", "testpmd")
	_, err3 := s.sh(ctx, fmt.Sprintf(dpdk.TakeBack, pci))
	if err := errors.Join(err, err2, err3); err != nil {
		return "", err
	}
	return fmt.Sprintf("testpmd in a container without a right but to %s answers pings on the wire by its virtio driver, and the kernel has the card again; "+
		"it is plugged in and handed over by hand: nicferry hands VFs to such programs, and no virtio cards", pci), nil
}

// How many servers and clients there are, and for how many seconds.
const (
	streams     = 2
	trafficTime = "2"
)

// measures has clients in one container send to servers in another, on the other guest.
func (s *show) measures(ctx context.Context) (string, error) {
	if _, err := s.startIn(ctx, "client", "vpc"); err != nil {
		return "", err
	}
	enter := "nsenter -t %s -n sockperf "
	serve := fmt.Sprintf("for n in $(seq -w 01 %02d); do setsid "+enter+"server -i 0.0.0.0 --port 123$n >/dev/null 2>&1 </dev/null & echo $!; done", streams, pid("web"))
	out, err := s.inGuest("vm2")(ctx, "sh", "-ec", serve)
	if err != nil {
		return "", err
	}
	defer func() {
		_, err := s.inGuest("vm2")(context.WithoutCancel(ctx), "sh", "-c", "kill "+strings.Join(strings.Fields(out), " "))
		_ = err // they go with the container
	}()
	send := fmt.Sprintf("p=%s; for n in $(seq -w 01 %02d); do "+enter+"tp -i %s --pps max --port 123$n -t %s -m 64 >/tmp/tp$n 2>&1 & done; wait; cat /tmp/tp*; rm /tmp/tp*",
		pid("client"), streams, "$p", s.web.V4, trafficTime)
	said, err := s.sh(ctx, send)
	if err != nil {
		return "", err
	}
	rates := traffic.Rates(said)
	if len(rates) != streams {
		return "", fmt.Errorf("%d of %d clients say what they have sent: %s", len(rates), streams, said)
	}
	sum := int64(0)
	for _, r := range rates {
		sum += r
	}
	return fmt.Sprintf("%d servers in web on vm2, %d clients in client on vm1: %d messages of 64 B sent per second, on emulated processors, which is no measure of the paper's", streams, streams, sum), nil
}
