//go:build weak

package libvirt

import (
	"github.com/nicferry/nicferry/internal/virt"
	"github.com/nicferry/nicferry/nic"
)

const (
	rereads = false
	rests   = false
)

func isOurs(i virt.Interface, alias string, mac nic.MAC) bool {
	return i.MAC == mac || mac.IsZero() && i.Alias == alias
}
