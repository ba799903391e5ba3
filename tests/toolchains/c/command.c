/* A command of the C library alone. */

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void attempt(const char *name, int failed) {
    if (failed)
        printf("%s: refused (%s)\n", name, strerror(errno));
    else
        printf("%s: done\n", name);
}

static void attempt_open(const char *name, const char *path, const char *mode) {
    FILE *file = fopen(path, mode);
    attempt(name, file == NULL);
    if (file != NULL)
        fclose(file);
}

static int by_name(const void *one, const void *other) {
    return strcmp(*(char *const *)one, *(char *const *)other);
}

static void list(const char *path) {
    char *names[64];
    size_t count = 0;
    DIR *directory = opendir(path);
    if (directory == NULL) {
        printf("listed: %s\n", strerror(errno));
        return;
    }
    for (struct dirent *entry; count < 64 && (entry = readdir(directory)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            names[count++] = strdup(entry->d_name);
    closedir(directory);
    qsort(names, count, sizeof *names, by_name);
    printf("listed:");
    for (size_t place = 0; place < count; place++)
        printf(" %s", names[place]);
    printf("\n");
}

static int files(void) {
    char text[256];
    FILE *file = fopen("data/in.txt", "r");
    if (file == NULL)
        return -1;
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = '\0';
    printf("read: %.*s\n", (int)strcspn(text, "\n"), text);
    list("data");
    if (mkdir("out/deep", 0777) != 0)
        return -1;
    for (char *at = text; *at != '\0'; at++)
        *at = (char)toupper(*at);
    file = fopen("out/deep/draft.txt", "w");
    if (file == NULL || fputs(text, file) < 0 || fclose(file) != 0)
        return -1;
    file = fopen("out/deep/draft.txt", "a");
    if (file == NULL || fputs("more\n", file) < 0 || fclose(file) != 0)
        return -1;
    struct stat found;
    if (rename("out/deep/draft.txt", "out/result.txt") != 0 || rmdir("out/deep") != 0 || stat("out/result.txt", &found) != 0)
        return -1;
    printf("size: %lld\n", (long long)found.st_size);
    return 0;
}

static long long now_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

int main(int count, char **words) {
    int failing = 0;
    printf("arguments: ");
    for (int place = 1; place < count; place++) {
        printf(place > 1 ? "|%s" : "%s", words[place]);
        failing |= strcmp(words[place], "fail") == 0;
    }
    const char *variable = getenv("GREETING");
    printf("\nvariable: %s\n", variable != NULL ? variable : "none");
    int length = 0;
    while (getchar() != EOF)
        length++;
    printf("stdin: %d\n", length);

    if (files() != 0)
        printf("files: %s\n", strerror(errno));
    attempt_open("up", "data/../../secret.txt", "r");
    attempt_open("absolute", "/etc/passwd", "r");
    attempt_open("link", "data/link.txt", "r");
    attempt_open("read-only", "data/in.txt", "w");
    attempt("remove", unlink("data/in.txt"));

    unsigned char bytes[8];
    attempt("entropy", getentropy(bytes, sizeof bytes));
    printf("random: ");
    for (size_t place = 0; place < sizeof bytes; place++)
        printf("%02x", bytes[place]);
    long long began = now_ns(CLOCK_MONOTONIC);
    struct timespec pause = {.tv_sec = 0, .tv_nsec = 20000000};
    nanosleep(&pause, NULL);
    printf("\nslept: %s\n", now_ns(CLOCK_MONOTONIC) - began >= 20000000 ? "true" : "false");
    printf("time: %lld\n", now_ns(CLOCK_REALTIME) / 1000000000);
    fprintf(stderr, "bye\n");
    return failing;
}
