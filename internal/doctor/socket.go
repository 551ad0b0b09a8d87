package doctor

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"

	"github.com/nicferry/nicferry/internal/conf"
)

// checkSocket looks at the controller's socket, and at whose group it is.
func checkSocket(_ context.Context, v *visit) {
	if v.controller == nil {
		v.warn("nicferry config check "+v.ControllerConfig, "not looked at: the config does not say where it is")
		return
	}
	group := or(v.controller.SocketGroup, conf.DefaultSocketGroup)
	_, groupThere := v.members(group)
	if !groupThere {
		v.tellGroup(group)
	}
	socket := v.controller.Socket
	info, err := os.Stat(v.path(socket))
	switch {
	case errors.Is(err, fs.ErrPermission):
		v.warn("run it as root", "cannot look at %s", socket)
	case err != nil && v.process("nicferryd"):
		v.fail("systemctl restart nicferryd; containers keep their NICs", "nicferryd runs, and its socket %s is not there", socket)
	case err != nil && !v.exists(path.Dir(socket)):
		v.warn(fixRemedy+", or: install -d -m 1775 "+path.Dir(socket), "%s, the socket's directory, is not there", path.Dir(socket))
	case err != nil: // nicferryd makes it
	case info.Mode()&fs.ModeSocket == 0:
		v.fail("rm "+socket+" && systemctl restart nicferryd", "%s is no socket", socket)
	case groupThere && v.group(info) != group:
		v.warn("systemctl restart nicferryd", "%s is of group %s, not %s: members of that cannot use it", socket, v.group(info), group)
	}
	if v.quiet() {
		v.ok("%s is for root and group %s", socket, group)
	}
}

// tellGroup says that a group is missing: one that the config names must exist.
func (v *visit) tellGroup(group string) {
	if v.controller.SocketGroup == "" {
		v.warn(fixRemedy+", or: groupadd --system "+group, "no group %s on this machine: the socket is root's alone", group)
		return
	}
	v.fail(fixRemedy+", or: groupadd --system "+group, "no group %s, which socketGroup names: nicferryd does not start", group)
}
