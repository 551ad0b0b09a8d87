package imds

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
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

// document is an answer of JSON.
func document(v any) answer {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return refusal(http.StatusInternalServerError)
	}
	return plain(string(text))
}

func refusal(status int) answer { return answer{status: status} }

// page is what is sent with a refusal: one of the server that both clouds have.
func page(status int) string {
	title := fmt.Sprintf("%d - %s", status, http.StatusText(status))
	return `<?xml version="1.0" encoding="iso-8859-1"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">
 <head><title>` + title + `</title></head>
 <body><h1>` + title + `</h1></body>
</html>
`
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
		a = refusal(s.Dialect.throttled)
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
	if s.Dialect.server != "" {
		w.Header().Set("Server", s.Dialect.server)
	}
	w.Header().Set("Content-Type", "text/plain")
	if a.header[0] != "" {
		w.Header().Set(a.header[0], a.header[1])
	}
	if a.status != http.StatusOK {
		a.text = page(a.status)
	}
	w.WriteHeader(a.status)
	io.WriteString(w, a.text) // whoever asked may have gone
}

func (s *Service) tell(r Request) {
	if s.Seen != nil {
		s.Seen(r)
	}
}

// answer finds what to say to a request that meets no fault of the wire.
func (s *Service) answer(id string, r *http.Request, fault cloudsim.Verb) answer {
	if !s.spend(id) {
		return refusal(s.Dialect.throttled)
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
		return plain(s.Dialect.versions)
	case !s.Dialect.version.MatchString(version):
		return refusal(http.StatusNotFound)
	}
	guest, err := s.Source.Guest(id)
	if err != nil {
		return s.modelRefuses(err)
	}
	return s.Dialect.read(s, id, &guest, path, fault == OldKeys)
}

// modelRefuses gives the status of the model's error.
func (s *Service) modelRefuses(err error) answer {
	if e, ok := errors.AsType[*cloudsim.Error](err); ok && e.Status >= 500 {
		return refusal(e.Status)
	}
	return refusal(http.StatusNotFound) // an instance that is no more
}
