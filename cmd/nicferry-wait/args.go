//go:build linux

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"
)

const usage = `nicferry-wait waits until the container's network interfaces are configured, and
then becomes COMMAND.

Usage:
  nicferry-wait [--timeout 30s] [--interface eth0]… [--address any|v4|v6] [--] COMMAND [ARG]…

  --interface NAME   wait for this interface (default eth0); may be given several times
  --address FAMILY   which kind of address each needs: any (default), v4 or v6.
                     Link-local ones do not count, nor those still being probed.
  --timeout TIME     give up after this long, such as 30s (default) or 2m; 0 waits for ever

Exit codes, if COMMAND was not started: 2 usage, 124 timed out, 126 COMMAND cannot
be executed, 127 COMMAND not found, 128+n ended by signal n. Else they are COMMAND's.
`

var errHelp = flag.ErrHelp

// options are what the command line asks for.
type options struct {
	timeout    time.Duration // 0 is for ever
	interfaces []string
	family     family
	command    []string // at least one
}

// A family is the kind of address that is waited for.
type family string

const (
	familyAny family = "any"
	familyV4  family = "v4"
	familyV6  family = "v6"
)

// maxInterfaceName is IFNAMSIZ-1, linux/if.h.
const maxInterfaceName = 15

func parse(args []string) (options, error) {
	o := options{timeout: 30 * time.Second, family: familyAny}
	flags := flag.NewFlagSet("nicferry-wait", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.DurationVar(&o.timeout, "timeout", o.timeout, "")
	flags.Func("interface", "", func(name string) error {
		if name == "" || len(name) > maxInterfaceName || strings.ContainsAny(name, "/ \t\n") {
			return fmt.Errorf("want a name of 1 to %d characters", maxInterfaceName)
		}
		o.interfaces = append(o.interfaces, name)
		return nil
	})
	flags.Func("address", "", func(s string) error {
		o.family = family(s)
		if o.family != familyAny && o.family != familyV4 && o.family != familyV6 {
			return errors.New("want any, v4 or v6")
		}
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.timeout < 0 {
		return o, fmt.Errorf("--timeout %s: want no less than 0", o.timeout)
	}
	if o.command = flags.Args(); len(o.command) == 0 {
		return o, errors.New("no command to start")
	}
	if len(o.interfaces) == 0 {
		o.interfaces = []string{"eth0"}
	}
	return o, nil
}
