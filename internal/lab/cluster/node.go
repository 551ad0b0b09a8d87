//go:build linux

package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/conf"
	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/accel"
	"github.com/nicferry/nicferry/internal/lab/guest"
	"github.com/nicferry/nicferry/internal/lab/guest/protocol"
)

// A Node is one guest: the domain of its name, with a Docker engine and an
// agent. Its client runs commands in it.
type Node struct {
	*guest.Client

	Name    string
	cluster *Cluster
	index   int
}

// GuestBin is where a guest sees the folder of nicferry's programs.
const GuestBin = "/opt/nicferry"

// agentLog is where a guest's agent logs.
const agentLog = "/var/log/nicferry-agent.log"

// bootTime bounds a guest's boot with that of its engine: some 25 s alone, and
// as many times more as guests share a processor. readyTime is of that for the
// agent's start and first look around, of some 3 s.
const (
	bootTime  = 6 * time.Minute
	readyTime = 2 * time.Minute
)

// define writes the guest's definition and makes the disk of its engine, so
// that its containers survive a reboot.
func (n *Node) define(image *guest.Image, kind accel.Accelerator) (string, error) {
	disk := filepath.Join(n.cluster.host.Lib(), n.Name+".img")
	if err := os.WriteFile(disk, nil, 0o600); err != nil {
		return "", err
	}
	if err := os.Truncate(disk, diskSize); err != nil {
		return "", err
	}
	domain := guest.Domain{
		Image: image,
		Boot: protocol.Boot{
			Hostname: n.Name, MAC: managementMAC(n.index), Addr: managementAddr(n.index),
			Docker: protocol.DockerOn, DockerDisk: "docker",
		},
		Type: kind.DomainType(), CPUMode: kind.CPUMode(), MemoryMiB: n.cluster.opts.MemoryMiB, CPUs: processors(n.cluster.opts.Ports),
		Ports: n.cluster.opts.Ports, Bridge: ManagementBridge, Console: n.console(), Disk: disk,
	}
	if n.cluster.opts.Cloud != nil {
		domain.Maker, domain.Boot.Gateway = n.cluster.vendor.Maker, managementHost.Addr()
		if n.cluster.opts.Cloud.Platform {
			domain.Devices, domain.Boot.Kernel = iommu, []string{iommuOn}
		}
	}
	if n.cluster.opts.Metal != nil {
		domain.Ports += cardPorts
		domain.Devices = n.metalDevices()
		domain.Boot.Modules, domain.Boot.Kernel = metalModules, []string{iommuOn}
	}
	return domain.XML()
}

// processors is how many a guest needs for so many NICs. Linux has some 200
// interrupts for devices per processor, of which a port takes one and a NIC in
// it three; where they run out the driver refuses the NIC with error -28. More
// than one are no faster where the host has two.
func processors(ports int) int {
	const perProcessor = 180 // the guest's other devices take some
	return 1 + 4*ports/perProcessor
}

// diskSize is that of a guest's sparse disk, in bytes.
const diskSize = 8 << 30

// console is the file that the guest's serial line is written to.
func (n *Node) console() string { return n.cluster.file("log", n.Name+".console.log") }

// boot defines and starts the guest, and waits until its agent serves.
func (n *Node) boot(ctx context.Context, image *guest.Image, kind accel.Accelerator) error {
	text, err := n.define(image, kind)
	if err != nil {
		return err
	}
	if _, err := n.cluster.virt.Define(ctx, text); err != nil {
		return err
	}
	if err := n.cluster.virt.Start(ctx, n.Name); err != nil {
		return err
	}
	return n.Await(ctx)
}

// Await waits until the guest that has been started serves, makes its image,
// and starts its agent.
func (n *Node) Await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, bootTime)
	defer cancel()
	begin := time.Now()
	if err := n.AwaitUp(ctx); err != nil {
		return fmt.Errorf("%s: %w; its console ends with:\n%s", n.Name, err, tail(n.console()))
	}
	n.cluster.tell("%s is up after %.1f s; its dockerd starts", n.Name, time.Since(begin).Seconds())
	if _, err := n.AwaitDocker(ctx); err != nil {
		return fmt.Errorf("%s: %w", n.Name, err)
	}
	if _, err := n.Image(ctx); err != nil {
		return fmt.Errorf("%s: %w", n.Name, err)
	}
	if metal := n.cluster.opts.Metal; metal != nil && metal.VFs > 0 {
		if _, err := n.Cut(ctx, metal.VFs); err != nil {
			return err
		}
		n.cluster.tell("%s has two cards of %d VFs each", n.Name, metal.VFs)
	}
	if err := n.StartAgent(ctx); err != nil {
		return err
	}
	n.cluster.tell("%s serves: dockerd and nicferry-agent after %.1f s", n.Name, time.Since(begin).Seconds())
	return nil
}

// join has the guest join the controller by a token, unless it has joined since
// it was booted: its files are in memory.
func (n *Node) join(ctx context.Context) error {
	if _, err := n.Command(ctx, "test", "-e", identityFile).Output(); err == nil {
		return nil
	}
	token, err := n.cluster.CLI(ctx, "token", "create", "--node", n.Name)
	if err != nil {
		return err
	}
	join := n.Command(ctx, GuestBin+"/nicferry-agent", "join", n.cluster.api(), "-")
	join.Stdin = strings.NewReader(token)
	if _, err := join.Output(); err != nil {
		return fmt.Errorf("%s: %w", n.Name, err)
	}
	n.cluster.tell("%s joins by a token that is good once, and has a certificate of its own", n.Name)
	return nil
}

// identityFile is what a guest has once it has joined.
const identityFile = conf.DefaultIdentityDir + "/identity.json"

// StartAgent writes the agent's config, has the guest join if it has not, and
// starts the agent. It runs until it is killed or the guest ends.
func (n *Node) StartAgent(ctx context.Context) error {
	if err := n.Put(ctx, conf.AgentPath, 0o644, strings.NewReader(agentConfig)); err != nil {
		return err
	}
	if err := n.join(ctx); err != nil {
		return err
	}
	before, _, err := n.cluster.session(ctx, n.Name) // of an agent that has ended, and may still count as ready
	if err != nil {
		return err
	}
	if _, err := n.Spawn(ctx, agentLog, GuestBin+"/nicferry-agent"); err != nil {
		return err
	}
	return lab.Until(ctx, "the agent of "+n.Name+" to be ready", readyTime, pause, func(ctx context.Context) error {
		now, ready, err := n.cluster.session(ctx, n.Name)
		if err == nil && (!ready || now <= before) {
			err = fmt.Errorf("ready is %v, and its session %d, which was %d before", ready, now, before)
		}
		return err
	})
}

// agentConfig names neither the node nor its controller: the identity does.
const agentConfig = "version: 1\nmoves: true\n"

// KillAgent ends the guest's agent with SIGKILL.
func (n *Node) KillAgent(ctx context.Context) error {
	_, err := n.Command(ctx, "pkill", "-KILL", "-x", "nicferry-agent").Output()
	return err
}

// Docker runs Docker's CLI in the guest and returns what it prints, without
// the last line's end.
func (n *Node) Docker(ctx context.Context, args ...string) (string, error) {
	out, err := n.Command(ctx, append([]string{"docker"}, args...)...).Output()
	return strings.TrimSpace(string(out)), err
}
