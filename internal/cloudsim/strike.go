package cloudsim

import (
	"cmp"
	"time"
)

// fault is the first fault of a verb that strikes the call; nil is none.
func (t *turn) fault(v Verb) *planned {
	for _, f := range t.faults {
		if f.Verb == v {
			return f
		}
	}
	return nil
}

// slow is how much longer the call takes, before or after its effect.
func (t *turn) slow(after bool) time.Duration {
	var d time.Duration
	for _, f := range t.faults {
		if f.Verb == Slow && f.After == after {
			d += f.Delay.D()
		}
	}
	return d
}

// strict says whether a strict-validation fault is in force.
func (t *turn) strict() bool {
	for _, f := range t.c.faults {
		if f.Verb == StrictValidation && f.active(t.now) {
			return true
		}
	}
	return false
}

// limits are what each API runs into.
var limits = map[string]string{
	"CreateNetworkInterface":   "eni.quota",
	"AttachNetworkInterface":   "attach.limit",
	"AssignPrivateIpAddresses": "ip.limit",
	"AssignIpv6Addresses":      "ip.limit",
	"AllocateAddress":          "address.quota",
	"CreateTags":               "tag.limit",
	"CreateHaVip":              "havip.quota",
}

// say is the error that a fault brings: as it says, or else r.
func (f *planned) say(r *Error) error {
	if f.Code == "" && f.Message == "" && f.Status == 0 {
		return r
	}
	e := &Error{Code: cmp.Or(f.Code, r.Code), Message: cmp.Or(f.Message, r.Message), Status: cmp.Or(f.Status, r.Status), Said: &f.Fault}
	if f.Code == "" {
		e.Key = r.Key
	}
	return e
}

// limit is what an API runs into at a limit fault.
func (t *turn) limit(o op) *Error {
	switch name := limits[o.api]; name {
	case "":
		return refuse("eni.quota")
	case "attach.limit":
		n, kind := 1, ""
		if i := t.c.instances[o.instance]; i != nil {
			n, kind = len(i.cards())+1, i.Type
		}
		return refuse(name, n, kind)
	default:
		return refuse(name)
	}
}

// strikeBefore lets faults strike that leave the call undone.
func (t *turn) strikeBefore(o op) error {
	for _, f := range t.faults {
		var err error
		switch {
		case f.Verb == Throttle:
			err = f.say(refuse("throttled"))
		case f.Verb == Conflict:
			err = f.say(refuse("conflict"))
		case f.Verb == Limit:
			err = f.say(t.limit(o))
		case f.Verb == SubnetEmpty:
			err = f.say(refuse("subnet.full"))
		case f.Verb == IndexConflict && o.api == "AttachNetworkInterface":
			err = f.say(refuse("index.inuse", o.instance, o.device))
		case f.After:
		case f.Verb == ServerError:
			err = f.say(refuse("server"))
		case f.Verb == Fail:
			err = f.say(refuse("value", ""))
		case f.Verb == TerminateInstance:
			t.kill(o, f)
		case f.Verb == Reset, f.Verb == HTML, f.Verb == Empty && f.Status >= 300:
			err = t.wire(f)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// strikeAfter lets faults strike a call that has taken place.
func (t *turn) strikeAfter(o op) error {
	var first error
	for _, f := range t.faults {
		var err error
		switch {
		case f.Verb == LoseReply, f.Verb == Half, f.Verb == Empty && f.Status < 300:
			if err = t.wire(f); t.call.Wire != nil {
				err = nil
			}
		case !f.After:
		case f.Verb == ServerError:
			err = f.say(refuse("server"))
		case f.Verb == Fail:
			err = f.say(refuse("value", ""))
		case f.Verb == TerminateInstance:
			t.kill(o, f)
		case f.Verb == Reset, f.Verb == HTML:
			if err = t.wire(f); t.call.Wire != nil {
				err = nil
			}
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// wire hands the face what it shall do.
func (t *turn) wire(f *planned) error {
	w := Wire{Verb: f.Verb, Status: f.Status}
	switch {
	case f.Verb == HTML:
		w.Status = cmp.Or(w.Status, 502)
	case f.Verb == Empty:
		w.Status = cmp.Or(w.Status, 200)
	}
	if t.call.Wire != nil {
		*t.call.Wire = w
	}
	return &WireError{w}
}

// kill terminates, at once, the instance that a terminate-instance fault names, or
// the call's, or that of an interface that the call is about.
func (t *turn) kill(o op, f *planned) {
	id := cmp.Or(f.Target, o.instance)
	for _, about := range o.ids {
		e := cmp.Or(t.c.attachments[about], t.c.enis[about])
		if id == "" && e != nil && e.now.Attachment != nil {
			id = e.now.Attachment.Instance
		}
	}
	if i := t.c.instances[id]; i != nil && i.State != InstanceTerminated {
		t.c.terminate(i, t.now, 0)
		t.c.agenda.catchUp(t.now)
	}
}
