package main

import (
	"fmt"
	"strings"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
)

// A dockerRun is a container that is to be run.
type dockerRun struct {
	network, name, interfaceName, tenant string
	rest                                 []string // docker's own flags, the image and its command
}

// A runCard is what a container gets of a NIC that is ready.
type runCard struct {
	// device is what its program opens; empty for a NIC with an interface.
	device, pci, mac, addrs string
}

// unknownCard stands for one that is not reserved yet.
var unknownCard = runCard{device: "/dev/vfio/GROUP", pci: "PCI", mac: "MAC", addrs: "ADDRS"}

// cardOf reads what there is of a claim's NIC.
func cardOf(view api.ClaimView, n api.NICView) runCard {
	return runCard{
		device: view.Observed.Device, pci: n.Seen.Device.VF.PCI,
		mac: newClaim(view).mac().String(), addrs: strings.ReplaceAll(newClaim(view).addresses(), ", ", ","),
	}
}

// text is for people.
func (c runCard) text() string {
	parts := []string{"MAC " + c.mac}
	if c.pci != "" {
		parts = append(parts, "PCI "+c.pci)
	}
	if c.device != "" {
		parts = append(parts, c.device)
	}
	return strings.Join(parts, ", ")
}

// check refuses what docker run would make something else of.
func (d dockerRun) check() error {
	if d.network == "" {
		return usagef("--on: which network is the card to come from?")
	}
	if err := nic.CheckName("network", d.network); err != nil {
		return usagef("--on: %s", err)
	}
	if err := nic.CheckInterfaceName(d.interfaceName); err != nil {
		return usagef("--interface: %s", err)
	}
	if len(d.rest) == 0 {
		return usagef("which image? It goes behind --, after docker run's own flags")
	}
	for _, arg := range d.rest {
		switch name, _, _ := strings.Cut(arg, "="); {
		case name == "--name":
			return usagef("%s behind --: the name is to be reserved, so it goes before, as nicferry's own --name (in the container's command, put it into sh -c)", oneLine(arg))
		case strings.HasPrefix(arg, nic.LabelPrefix), strings.HasPrefix(arg, "--label="+nic.LabelPrefix):
			return usagef("%s behind --: the label is nicferry run's to set", oneLine(arg))
		}
	}
	if net, ok := d.dockerNetwork(); ok && net != "none" && d.interfaceName == "eth0" {
		return usagef("--network %s behind --: Docker calls its own interface eth0 there; say --interface net1", oneLine(net))
	}
	return nil
}

// dockerNetwork is the Docker network that the user asks for, if any.
func (d dockerRun) dockerNetwork() (string, bool) {
	for i, arg := range d.rest {
		flag, value, joined := strings.Cut(arg, "=")
		if flag != "--network" && flag != "--net" {
			continue
		}
		if !joined && i+1 < len(d.rest) {
			value = d.rest[i+1]
		}
		return value, true
	}
	return "", false
}

// args are docker's, for a container with the card.
func (d dockerRun) args(c runCard) []string {
	args := []string{"run", "--name", d.name}
	if _, has := d.dockerNetwork(); !has {
		args = append(args, "--network", "none")
	}
	label := nic.LabelNetwork + "=" + d.network
	if d.interfaceName != "eth0" {
		label = nic.LabelNIC + d.interfaceName + "=network=" + d.network
	}
	args = append(args, "--label", label)
	if d.tenant != "" {
		args = append(args, "--label", nic.LabelTenant+"="+d.tenant)
	}
	if c.device != "" {
		// What it locks is all the memory that the card may reach.
		args = append(args, "--device", c.device, "--device", "/dev/vfio/vfio", "--ulimit", "memlock=-1:-1")
	}
	for _, v := range []struct{ name, value string }{{"PCI", c.pci}, {"MAC", c.mac}, {"ADDRS", c.addrs}} {
		if v.value != "" {
			args = append(args, "--env", fmt.Sprintf("NICFERRY_%s_%s=%s", v.name, variable(d.interfaceName), v.value))
		}
	}
	return append(args, d.rest...)
}

// variable is an interface's name as part of a variable's.
func variable(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			return r - 'a' + 'A'
		}
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, name)
}

// shellLine is a command as a shell reads it.
func shellLine(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		if w == "" || strings.Trim(w, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=,@%+") != "" {
			w = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
		quoted[i] = w
	}
	return strings.Join(quoted, " ")
}
