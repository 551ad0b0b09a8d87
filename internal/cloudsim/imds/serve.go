package imds

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

// An answer is what is sent.
type answer struct {
	status int
	text   string
	header [2]string // one besides; empty if there is none
}

func plain(text string) answer { return answer{status: http.StatusOK, text: text} }

// refusal is the page that EC2's server has for a status.
func refusal(status int) answer {
	title := fmt.Sprintf("%d - %s", status, http.StatusText(status))
	return answer{status: status, text: `<?xml version="1.0" encoding="iso-8859-1"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">
 <head><title>` + title + `</title></head>
 <body><h1>` + title + `</h1></body>
</html>
`}
}

// portal is what answers everything in some networks.
const portal = "<html><body>Please sign in to use this network.</body></html>"

// serve answers one request of an instance.
func (s *Service) serve(id string, w http.ResponseWriter, r *http.Request) {
	seen := Request{Time: time.Now(), Instance: id, Method: r.Method, Path: r.URL.Path}
	seen.Fault = s.met(id, r)
	var a answer
	switch seen.Fault {
	case Silent, cloudsim.Reset:
		if seen.Fault == Silent {
			<-r.Context().Done()
		}
		s.tell(seen)
		panic(http.ErrAbortHandler) // closes the connection without a word
	case cloudsim.Throttle:
		a = refusal(http.StatusServiceUnavailable)
	case Off:
		a = refusal(http.StatusForbidden)
	case cloudsim.HTML:
		a = plain(portal)
	case cloudsim.Empty:
		a = plain("")
	default:
		a = s.answer(id, r, seen.Fault)
	}
	seen.Status = a.status
	s.tell(seen)
	w.Header().Set("Server", "EC2ws")
	w.Header().Set("Content-Type", "text/plain")
	if a.header[0] != "" {
		w.Header().Set(a.header[0], a.header[1])
	}
	w.WriteHeader(a.status)
	io.WriteString(w, a.text) // whoever asked may have gone
}

func (s *Service) tell(r Request) {
	if s.Seen != nil {
		s.Seen(r)
	}
}

// versions are what the first element of a path may be. All tell the same.
var versions = regexp.MustCompile(`^(latest|1\.0|20\d\d-\d\d-\d\d)$`)

// answer finds what to say to a request that meets no fault of the wire.
func (s *Service) answer(id string, r *http.Request, fault cloudsim.Verb) answer {
	if !s.spend(id) {
		return refusal(http.StatusServiceUnavailable)
	}
	version, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch {
	case r.Method == http.MethodPut && r.URL.Path == tokenPath:
		return s.giveToken(id, r)
	case r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/api/token"):
		return refusal(http.StatusForbidden) // of another version than latest
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return refusal(http.StatusMethodNotAllowed)
	case !s.admits(id, r) || fault == Forget:
		return refusal(http.StatusUnauthorized)
	case version == "":
		return plain("1.0\nlatest")
	case !versions.MatchString(version):
		return refusal(http.StatusNotFound)
	}
	guest, err := s.Source.Guest(id)
	if err != nil {
		return s.modelRefuses(err)
	}
	return s.read(id, &guest, path, fault == OldKeys)
}

// read answers a path behind the version.
func (s *Service) read(id string, g *cloudsim.Guest, path string, oldKeys bool) answer {
	top, rest, _ := strings.Cut(path, "/")
	switch top {
	case "":
		return plain("dynamic\nmeta-data")
	case "dynamic":
		return readIdentity(g, rest)
	case "meta-data":
	default:
		return refusal(http.StatusNotFound)
	}
	if rest == "iam" || strings.HasPrefix(rest, "iam/") {
		return s.readRole(id, g.Account, strings.TrimPrefix(rest, "iam"), oldKeys)
	}
	t := newTree(g, s.Tags)
	if s.Role(id) != "" {
		t["iam/info"] = "there"
	}
	text, ok := t.read(rest)
	if !ok {
		return refusal(http.StatusNotFound)
	}
	return plain(text)
}

// modelRefuses gives the status of the model's error.
func (s *Service) modelRefuses(err error) answer {
	if e, ok := errors.AsType[*cloudsim.Error](err); ok && e.Status >= 500 {
		return refusal(e.Status)
	}
	return refusal(http.StatusNotFound) // an instance that is no more
}
