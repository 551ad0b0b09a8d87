package server

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/nicferry/nicferry/internal/api"
)

// withSession notes which session of an agent a call is of, for whoever refuses
// the older ones.
func withSession(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text := r.Header.Get(api.SessionHeader)
		if text == "" {
			next.ServeHTTP(w, r)
			return
		}
		session, err := strconv.ParseUint(text, 10, 64)
		if err != nil || session == 0 {
			e := &api.Error{
				Code: api.CodeInvalid, Field: "header." + api.SessionHeader,
				Message: fmt.Sprintf("header %s %.40q: want a session number, as hello gives it", api.SessionHeader, text),
			}
			writeError(w, e.Code.Status(), e)
			return
		}
		next.ServeHTTP(w, r.WithContext(api.WithSession(r.Context(), session)))
	})
}
