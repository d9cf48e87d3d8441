#!/bin/sh
# Writes `.env` for docker-compose.yaml: random passwords, ports of the loopback. What is in it already stays.
set -eu
umask 077

file=${1:-"$(dirname "$0")/../../.env"}

random() {
    head -c 32 /dev/urandom | base64 | tr -d '=\n' | tr '+/' '-_'
}

add() {
    grep -q "^$1=" "$file" || printf '%s=%s\n' "$1" "$2" >>"$file"
}

touch "$file"
chmod 600 "$file"
# A last line without its end would swallow the next one.
[ -z "$(tail -c 1 "$file")" ] || echo >>"$file"

add MLFORGE_POSTGRES_PASSWORD "$(random)"
add MLFORGE_AIRFLOW_ADMIN_PASSWORD "$(random)"
add MLFORGE_MLFLOW_PASSWORD "$(random)"
add MLFORGE_AIRFLOW_PORT 8080
add MLFORGE_MLFLOW_PORT 5000
add MLFORGE_GATEWAY_PORT 8000
# true plays the history again, so that every night has data.
add MLFORGE_REPLAY false

echo "$file is ready (0600). Airflow's user is admin, MLflow's is mlforge; their passwords are in it."
