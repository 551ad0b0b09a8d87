//go:build linux

package cluster

import (
	"fmt"
	"strings"
	"text/template"

	"github.com/nicferry/nicferry/internal/lab/accel"
	"github.com/nicferry/nicferry/internal/lab/guest"
)

// machine is what a guest's definition is made of.
type machine struct {
	Name, UUID, Type, CPUMode string
	MemoryMiB, CPUs           int
	Kernel, Initrd, Cmdline   string
	Exports                   []guest.Export
	Ports                     []int
	MAC, Bridge, Console      string
}

// definition is a q35 machine with the host's files over virtio-9p, a
// management NIC, and empty root ports: they cannot be plugged in themselves.
var definition = template.Must(template.New("domain").Funcs(template.FuncMap{"xml": escape}).Parse(`<domain type='{{.Type}}'>
  <name>{{.Name}}</name>
  <uuid>{{.UUID}}</uuid>
  <memory unit='MiB'>{{.MemoryMiB}}</memory>
  <vcpu>{{.CPUs}}</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>{{xml .Kernel}}</kernel>
    <initrd>{{xml .Initrd}}</initrd>
    <cmdline>{{xml .Cmdline}}</cmdline>
  </os>
  <features><acpi/></features>
  <cpu mode='{{.CPUMode}}'/>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <controller type='usb' model='none'/>
    <controller type='pci' index='0' model='pcie-root'/>
{{range .Ports}}    <controller type='pci' index='{{.}}' model='pcie-root-port'/>
{{end}}{{range .Exports}}    <filesystem type='mount' accessmode='passthrough' multidevs='remap'>
      <source dir='{{xml .Path}}'/>
      <target dir='{{xml .Tag}}'/>
{{if not .Writable}}      <readonly/>
{{end}}    </filesystem>
{{end}}    <interface type='bridge'>
      <mac address='{{.MAC}}'/>
      <source bridge='{{.Bridge}}'/>
      <model type='virtio'/>
      <rom enabled='no'/>
    </interface>
    <serial type='file'><source path='{{xml .Console}}' append='on'/></serial>
    <console type='file'><source path='{{xml .Console}}' append='on'/><target type='serial'/></console>
    <memballoon model='none'/>
  </devices>
</domain>
`))

// define writes the guest's definition. The root ports that it has beside those
// for NICs are taken by its own devices at once.
func (n *Node) define(image *guest.Image, kind accel.Accelerator) (string, error) {
	o := n.cluster.opts
	cmdline, err := image.Cmdline(n.boots())
	if err != nil {
		return "", err
	}
	m := machine{
		Name: n.Name, UUID: fmt.Sprintf("6e696366-6572-7279-8000-0000000000%02x", n.index),
		Type: kind.DomainType(), CPUMode: kind.CPUMode(), MemoryMiB: o.MemoryMiB, CPUs: 2,
		Kernel: image.Vmlinuz, Initrd: image.Initrd, Cmdline: cmdline, Exports: image.Exports,
		MAC: managementMAC(n.index).String(), Bridge: ManagementBridge, Console: n.console(),
	}
	own := len(m.Exports) + 1 // one port for each, and for the management NIC
	for i := range own + o.Ports {
		m.Ports = append(m.Ports, i+1)
	}
	var text strings.Builder
	if err := definition.Execute(&text, m); err != nil {
		return "", fmt.Errorf("define %s: %w", n.Name, err)
	}
	return text.String(), nil
}

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "'", "&apos;", `"`, "&quot;")

func escape(s string) string { return escaper.Replace(s) }
