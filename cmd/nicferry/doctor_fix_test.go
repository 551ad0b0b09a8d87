package main

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/netns/netnstest"
)

// fixScript has the real command mend and undo this machine, in mount, network
// and process namespaces of its own, with /etc, /run and /var/lib that go with
// them. It fails at the first thing that is not as it should be.
const fixScript = `set -eu
d=$1
mkdir -p $d/etc/nicferry $d/lib
for f in passwd group shadow gshadow login.defs nsswitch.conf; do [ ! -e /etc/$f ] || cp -p /etc/$f $d/etc/; done
sed -i '/^nicferry:/d' $d/etc/group
mount --bind $d/etc /etc
mount -t tmpfs -o mode=755 tmpfs /run
mount --bind $d/lib /var/lib
printf 'version: 1\nstore: /var/lib/nf/store.db\nproviders: [{name: local, kind: local}]\n' >/etc/nicferry/nicferryd.yaml
printf 'version: 1\nnode: n1\n' >/etc/nicferry/agent.yaml
chmod 666 /etc/nicferry/agent.yaml
find /etc /run /var/lib ! -type d ! -name '.pwd.lock' ! -name '*-' | sort >$d/before
nicferry doctor >$d/sick || true
grep -q 'FAIL *permissions *.*agent.yaml (mode 0666)' $d/sick
nicferry doctor --fix >$d/mended 2>$d/did || true
grep -q 'wrote /etc/udev' $d/did
grep -q 'groupadd --system nicferry' $d/did
[ $(stat -c %a /etc/nicferry/agent.yaml) = 644 ]
[ $(stat -c %a /var/lib/nf) = 700 ]
grep -q '^nicferry:' /etc/group
! grep -q 'agent.yaml (mode' $d/mended
nicferry doctor --fix 2>&1 >/dev/null | grep -q 'nothing to do'
nicferry doctor --undo 2>$d/undone
! grep -q '^nicferry:' /etc/group
[ ! -e /var/lib/nf ]
find /etc /run /var/lib ! -type d ! -name '.pwd.lock' ! -name '*-' | sort >$d/after
diff $d/before $d/after # but for directories: those above the drop-ins stay
nicferry doctor --undo 2>&1 | grep -q 'nothing to do'
echo all well
`

// The real command on this machine: what it mends is mended, twice is as good as
// once, and --undo leaves what there was.
func TestDoctorMendsAndUndoes(t *testing.T) {
	t.Parallel()
	netnstest.RequireRoot(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-xc", fixScript, "sh", t.TempDir())
	cmd.Env = append(cmd.Environ(), "GORACE=atexit_sleep_ms=0")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "all well") {
		t.Errorf("%v\n%s", err, out)
	}
}
