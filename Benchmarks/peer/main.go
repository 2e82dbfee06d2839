// The peer of Benchmarks/http: the three measured calls as a Go programmer would usually write them,
// with chi, GORM and SQLite. It is tuned where tuning is usual (WAL, one writer connection, a small
// pool of readers, one upsert statement), because a slow peer would prove nothing.
package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/go-chi/chi"
	"github.com/go-chi/chi/middleware"
	"github.com/jinzhu/gorm"
	sqlite3 "github.com/mattn/go-sqlite3"
)

const anonymousID = "00000000-0000-0000-0000-000000000001"

const pragmas = "?_journal_mode=WAL&_busy_timeout=5000&_synchronous=NORMAL&_foreign_keys=on"

type User struct {
	ID    string `gorm:"type:text;primary_key"`
	Email string `gorm:"not null;unique_index"`
}

type Project struct {
	ID   string `gorm:"type:text;primary_key"`
	Name string `gorm:"not null"`
}

type ProjectMember struct {
	ID        string `gorm:"type:text;primary_key"`
	ProjectID string `gorm:"type:text references projects(id);not null;unique_index:member"`
	UserID    string `gorm:"type:text references users(id);not null;unique_index:member"`
	Role      string `gorm:"not null"`
}

type UserPreference struct {
	ID        string    `gorm:"type:text;primary_key" json:"-"`
	UserID    string    `gorm:"type:text references users(id);not null;unique_index:user_key" json:"-"`
	Key       string    `gorm:"not null;unique_index:user_key" json:"key"`
	Value     string    `gorm:"not null" json:"value"`
	CreatedAt time.Time `json:"-"`
	UpdatedAt time.Time `json:"updatedAt"`
}

type Workspace struct {
	ID           string    `gorm:"type:text;primary_key" json:"id"`
	ProjectID    string    `gorm:"type:text references projects(id);not null;index" json:"-"`
	Path         string    `gorm:"not null" json:"path"`
	DisplayName  *string   `json:"displayName,omitempty"`
	SourceType   string    `gorm:"not null" json:"sourceType"`
	Provider     string    `gorm:"not null" json:"provider"`
	Status       string    `gorm:"not null" json:"status"`
	ErrorMessage *string   `json:"errorMessage,omitempty"`
	Commit       *string   `json:"commit,omitempty"`
	WorkDir      *string   `json:"workDir,omitempty"`
	CreatedAt    time.Time `json:"-"`
	UpdatedAt    time.Time `json:"-"`
	Sessions     []string  `gorm:"-" json:"sessions"`
}

type contextKey struct{}

// SQLite has one writer at a time: writes queue in Go for a connection of their own, which is cheaper than
// waiting in SQLite's busy handler. Reads have a pool.
type server struct{ read, write *gorm.DB }

func open(dsn, options string, connections int) (*gorm.DB, error) {
	db, err := gorm.Open("sqlite3", "file:"+dsn+pragmas+options)
	if err != nil {
		return nil, err
	}
	db.LogMode(false)
	db.DB().SetMaxOpenConns(connections)
	db.DB().SetMaxIdleConns(connections)
	return db, nil
}

func (s *server) seed() error {
	tables := []interface{}{&User{}, &Project{}, &ProjectMember{}, &UserPreference{}, &Workspace{}}
	if err := s.write.AutoMigrate(tables...).Error; err != nil {
		return err
	}
	rows := []interface{}{
		&User{ID: anonymousID, Email: "anonymous@local"},
		&Project{ID: "local", Name: "Local Project"},
		&ProjectMember{ID: newID(), ProjectID: "local", UserID: anonymousID, Role: "owner"},
	}
	for _, row := range rows {
		if err := s.write.Set("gorm:insert_option", "ON CONFLICT DO NOTHING").Create(row).Error; err != nil {
			return err
		}
	}
	return nil
}

// Authentication is off: each request acts as the anonymous user.
func anonymous(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, anonymousID)))
	})
}

func userID(r *http.Request) string {
	id, _ := r.Context().Value(contextKey{}).(string)
	return id
}

func (s *server) member(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var row ProjectMember
		err := s.read.Where("project_id = ? AND user_id = ?", chi.URLParam(r, "projectId"), userID(r)).Take(&row).Error
		switch {
		case gorm.IsRecordNotFoundError(err):
			fail(w, http.StatusForbidden, "Access denied")
		case err != nil:
			fail(w, http.StatusInternalServerError, "Internal server error")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func (s *server) listPreferences(w http.ResponseWriter, r *http.Request) {
	rows := []UserPreference{}
	if err := s.read.Where("user_id = ?", userID(r)).Order(`"key"`).Find(&rows).Error; err != nil {
		fail(w, http.StatusInternalServerError, "Failed to list preferences")
		return
	}
	answer(w, http.StatusOK, map[string]interface{}{"preferences": rows})
}

func (s *server) setPreference(w http.ResponseWriter, r *http.Request) {
	var body struct{ Value string }
	if !decode(w, r, &body) {
		return
	}
	row := UserPreference{ID: newID(), UserID: userID(r), Key: chi.URLParam(r, "key"), Value: body.Value}
	upsert := `ON CONFLICT (user_id, "key") DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at`
	// Create runs in a transaction of its own.
	if err := s.write.Set("gorm:insert_option", upsert).Create(&row).Error; err != nil {
		fail(w, http.StatusInternalServerError, "Failed to set preference")
		return
	}
	answer(w, http.StatusOK, row)
}

func (s *server) listWorkspaces(w http.ResponseWriter, r *http.Request) {
	rows := []Workspace{}
	err := s.read.Where("project_id = ?", chi.URLParam(r, "projectId")).Order("created_at").Find(&rows).Error
	if err != nil {
		fail(w, http.StatusInternalServerError, "Failed to list workspaces")
		return
	}
	for i := range rows {
		rows[i].Sessions = []string{}
	}
	answer(w, http.StatusOK, map[string]interface{}{"workspaces": rows})
}

// Inserts the row as given: the benchmark copies the other server's rows, so both list the same texts.
func (s *server) createWorkspace(w http.ResponseWriter, r *http.Request) {
	row := Workspace{Status: "ready", SourceType: "local"}
	if !decode(w, r, &row) {
		return
	}
	if row.Path == "" {
		fail(w, http.StatusBadRequest, "Path is required")
		return
	}
	row.ID, row.ProjectID, row.Sessions = newID(), chi.URLParam(r, "projectId"), []string{}
	if err := s.write.Create(&row).Error; err != nil {
		fail(w, http.StatusInternalServerError, "Failed to create workspace")
		return
	}
	answer(w, http.StatusCreated, row)
}

func (s *server) routes() http.Handler {
	r := chi.NewRouter()
	r.Use(middleware.RequestID, middleware.RealIP, middleware.Recoverer)
	r.NotFound(func(w http.ResponseWriter, _ *http.Request) { fail(w, http.StatusNotFound, "Not found") })
	r.MethodNotAllowed(func(w http.ResponseWriter, _ *http.Request) {
		fail(w, http.StatusMethodNotAllowed, "Method not allowed")
	})
	r.Get("/health", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	r.Route("/api", func(r chi.Router) {
		r.Use(anonymous)
		r.Get("/preferences", s.listPreferences)
		r.Put("/preferences/{key}", s.setPreference)
		r.Route("/projects/{projectId}/workspaces", func(r chi.Router) {
			r.Use(s.member)
			r.Get("/", s.listWorkspaces)
			r.Post("/", s.createWorkspace)
		})
	})
	return r
}

func decode(w http.ResponseWriter, r *http.Request, body interface{}) bool {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(body); err != nil {
		fail(w, http.StatusBadRequest, "Invalid request body")
		return false
	}
	return true
}

func answer(w http.ResponseWriter, status int, body interface{}) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // it fails only when the client has gone
}

func fail(w http.ResponseWriter, status int, message string) {
	answer(w, status, map[string]string{"error": message})
}

func newID() string {
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		panic(err)
	}
	text := hex.EncodeToString(id[:])
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}

func run() error {
	dsn := os.Getenv("DATABASE_DSN")
	write, err := open(dsn, "&_txlock=immediate", 1)
	if err != nil {
		return err
	}
	defer write.Close()
	read, err := open(dsn, "", 4)
	if err != nil {
		return err
	}
	defer read.Close()
	s := &server{read: read, write: write}
	if err := s.seed(); err != nil {
		return err
	}

	// SIGTERM ends it at once: nothing here outlives the benchmark.
	return http.ListenAndServe(net.JoinHostPort(os.Getenv("HOST"), os.Getenv("PORT")), s.routes())
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "--sqlite-version" {
		version, _, _ := sqlite3.Version()
		fmt.Println(version)
		return
	}
	if err := run(); err != nil {
		log.Fatal(err)
	}
}
