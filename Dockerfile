# The page on a host of your own, for a processor; a Hugging Face Space needs none of this.
#   docker build --tag cvhub .
#   docker run --publish 7860:7860 --volume cvhub-cache:/cache cvhub
FROM python:3.11-slim

# What is downloaded, converted and compiled is kept in a volume; Gradio's uploads are deleted by the page itself.
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    CVHUB_CACHE=/cache/cvhub \
    HF_HOME=/cache/huggingface \
    GRADIO_SERVER_NAME=0.0.0.0 \
    GRADIO_SERVER_PORT=7860

RUN useradd --uid 1000 --create-home cvhub && install --directory --owner cvhub --group cvhub /cache

WORKDIR /home/cvhub/app
COPY requirements.txt .
# PyTorch's own index has it without what only graphics cards need, which would be gigabytes.
RUN pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu --requirement requirements.txt

# The page's user reads the program and can't change it.
COPY app.py LICENSE ./
COPY cvhub cvhub

USER cvhub
VOLUME /cache
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ[\"GRADIO_SERVER_PORT\"]}/', timeout=5)"]
CMD ["python", "app.py"]
